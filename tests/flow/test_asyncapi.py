"""The AsyncAPI document: valid, and true of what passes over real sockets.

`Socket` checks each frame of every test against the document. Here one conversation provokes nearly every type of frame, so that
none is checked by nothing; the others are listed with the test that receives them.
"""

import json
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest

from tests.client import Socket, asyncapi
from tests.client.shapes import Mismatch
from tests.flow.world import World, live

_SPECIFICATION = Path(__file__).parents[2] / "web" / "node_modules" / "@asyncapi" / "specs" / "schemas" / "3.0.0.json"
ELSEWHERE = {
    "server.reconnect": "test_leaving.py",
    "server.seen": "test_large_rooms.py",
    "server.members": "test_large_rooms.py",
}
"""Messages that need a large channel or a gateway that stops, and the tests whose sockets receive them."""


def test_the_document_is_valid_asyncapi() -> None:
    validator = jsonschema_rs.validator_for(json.loads(_SPECIFICATION.read_text()))
    assert not [error.message for error in validator.iter_errors(asyncapi.DOCUMENT)]
    operation = {**asyncapi.DOCUMENT["operations"]["client.send"], "action": "listen"}
    assert not validator.is_valid({**asyncapi.DOCUMENT, "operations": {"client.send": operation}})


@pytest.mark.parametrize(
    "frame",
    [
        {"type": "pong", "surprise": 1},
        {"type": "typing", "channel": "c"},
        {"type": "presence", "user": "ann", "status": "asleep", "last_seen": None},
        {"type": "joined", "channel": {"id": "c", "kind": "group", "name": "", "role": "member", "seq": 1}},
        {"type": "event", "channel": "c", "seq": 1, "kind": "message.sung", "actor": "a", "at": "", "data": {}},
        {"type": "surprise"},
    ],
)
def test_the_check_finds_frames_that_are_not_of_the_document(frame: dict[str, Any]) -> None:
    with pytest.raises(Mismatch):
        asyncapi.received(frame)


async def test_one_conversation_has_every_type_of_frame_and_each_is_as_the_document_says(world: World) -> None:
    ann, bob = await world.people("ann", "bob")
    room = await world.room(ann, bob)
    said: set[str] = set()

    async def say(socket: Socket, type_: str, **fields: Any) -> None:
        assert asyncapi.wrong("client", {"type": type_, **fields}) is None
        said.add(f"client.{type_}")
        await socket.send(type_, **fields)

    async def ask(socket: Socket, type_: str, **fields: Any) -> dict[str, Any]:
        said.add(f"client.{type_}")
        return await socket.request(type_, **fields)

    async with live(ann, **{room: 0}) as socket, live(bob) as other:
        said.add("client.sync")
        await say(socket, "watch", users=["bob"])
        await say(other, "status", status="away")
        await socket.expect("presence", user="bob", status="away")
        await say(other, "typing", channel=room)
        await socket.expect("typing")
        posted = await ask(socket, "send", channel=room, key="k", text="hi", mentions=["bob"])
        about = {"channel": room, "message": posted["message"]}
        await ask(socket, "send", channel=room, key="l", sealed="aGk=", thread=posted["message"])
        await ask(socket, "edit", **about, text="hello")
        await ask(socket, "edit", **about, sealed="aGVsbG8=")
        for remove in (False, True):
            await ask(socket, "react", **about, emoji="🎂", remove=remove)
            await ask(socket, "pin", **about, remove=remove)
        await ask(socket, "delete", **about)
        assert (await ask(socket, "pin", **about))["reason"] == "CONFLICT"
        await say(other, "read", channel=room, seq=posted["seq"])
        await socket.expect("receipt", user="bob")
        await ask(socket, "token", token=ann.token)
        await ask(socket, "ping")
        await ann.ok("PATCH", f"/v1/channels/{room}", {"topic": "all frames"})
        await ann.ok("PATCH", f"/v1/channels/{room}/members/bob", {"role": "moderator"})
        await bob.ok("DELETE", f"/v1/channels/{room}/members/bob", status=204)
        await other.expect("left")
        await ann.ok("POST", f"/v1/channels/{room}/members", {"users": ["bob"]})
        await other.expect("invited")
        await bob.ok("POST", f"/v1/channels/{room}/accept")
        await other.expect("joined")
        await ann.ok("DELETE", f"/v1/channels/{room}/members/bob", status=204)
        await socket.expect("event", kind="member.removed")
        received = [*socket.frames, *other.frames]
    seen = {f"server.{frame['type']}" for frame in received}
    assert said | seen | ELSEWHERE.keys() == asyncapi.DOCUMENT["components"]["messages"].keys()
    assert {frame["kind"] for frame in received if frame["type"] == "event"} == _kinds()


def _kinds() -> set[str]:
    """Every kind of event in the document."""
    schemas = asyncapi.DOCUMENT["components"]["schemas"]
    payload = asyncapi.DOCUMENT["components"]["messages"]["server.event"]["payload"]
    names = [each["$ref"].rpartition("/")[2] for each in payload["oneOf"]]
    return {kind for name in names for kind in schemas[name]["properties"]["kind"]["enum"]}

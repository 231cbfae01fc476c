"""How a socket answers a frame that is malformed or wrong.

Which frames those are is tested on the decoder alone (services/gateway/tests/test_frames.py).
"""

import json
import uuid
from typing import Any

import pytest

from tests.client import Api, connect
from tests.flow.world import World, live

ROOM = "<room>"
"""Placeholder for a channel in which the sender may write."""

MALFORMED = {
    "not JSON": "hello",
    "a list": '[{"type":"ping"}]',
    "nested 10,000 deep": '{"type":"ping","ref":' + "[" * 10_000 + "]" * 10_000 + "}",
}

WRONG: dict[str, dict[str, Any]] = {
    "no type": {"channel": ROOM},
    "an unknown type": {"type": "shout", "channel": ROOM},
    "send without key": {"type": "send", "channel": ROOM, "text": "x"},
    "send with a list for a channel": {"type": "send", "channel": [ROOM], "key": "k", "text": "x"},
    "read with a negative seq": {"type": "read", "channel": ROOM, "seq": -1},
}


async def room_of(world: World) -> tuple[Api, str]:
    ann = await world.person("ann")
    return ann, await world.room(ann)


@pytest.mark.parametrize("text", MALFORMED.values(), ids=MALFORMED.keys())
async def test_what_is_not_a_json_object_closes_with_4502(world: World, text: str) -> None:
    async with connect(await world.person("ann")) as socket:
        await socket.raw(text)
        assert await socket.closed() == 4502


@pytest.mark.parametrize("frame", WRONG.values(), ids=WRONG.keys())
async def test_a_wrong_field_answers_invalid_frame_and_the_connection_lives(world: World, frame: dict[str, Any]) -> None:
    ann, room = await room_of(world)
    text = json.dumps({**frame, "ref": "r-1"}).replace(ROOM, room)
    async with live(ann) as socket:
        await socket.raw(text)
        error = await socket.expect("error")
        assert (error["reason"], error.get("ref")) == ("INVALID_FRAME", "r-1")
        await socket.round_trip()
    assert len(await ann.log(room)) == 2


@pytest.mark.parametrize("ref", ["text", 7, 1.5, True, None, [1, {"a": "b"}], {"x": [None]}, ""], ids=str)
async def test_a_ref_of_any_kind_comes_back_as_it_was(world: World, ref: Any) -> None:
    async with connect(await world.person("ann")) as socket:
        await socket.send("ping", ref=ref)
        assert (await socket.expect("pong")).get("ref") == ref


async def test_a_ref_is_optional(world: World) -> None:
    ann, room = await room_of(world)
    async with live(ann) as socket:
        await socket.send("ping")
        assert (await socket.expect("pong")).get("ref") is None
        await socket.send("send", channel=room, key="k", text="x")
        assert (await socket.expect("ack")).get("ref") is None


@pytest.mark.parametrize("type_", ["send", "edit", "delete", "react", "pin"])
@pytest.mark.parametrize("channel", ["unknown", "no uuid", "in capitals", "not visible"])
async def test_a_channel_that_the_sender_cannot_see_is_not_found(world: World, type_: str, channel: str) -> None:
    ann = await world.person("ann")
    hidden = await world.person("bob")
    where = {
        "unknown": str(uuid.uuid4()),
        "no uuid": "../../etc",
        "in capitals": (await world.room(ann)).upper(),
        "not visible": await world.room(hidden),
    }[channel]
    fields: dict[str, Any] = {"key": "k", "text": "x"} if type_ == "send" else {"message": str(uuid.uuid4())}
    fields |= {"edit": {"text": "x"}, "react": {"emoji": "👍"}}.get(type_, {})
    async with live(ann) as socket:
        error = await socket.request(type_, channel=where, **fields)
        assert (error["type"], error["reason"]) == ("error", "NOT_FOUND")


@pytest.mark.parametrize("type_", ["edit", "delete", "react", "pin"])
async def test_a_message_that_is_not_in_the_channel_is_not_found(world: World, type_: str) -> None:
    ann, room = await room_of(world)
    elsewhere = await world.room(ann)
    message = (await ann.post(elsewhere, "in another room"))["message"]
    fields = {"edit": {"text": "x"}, "react": {"emoji": "👍"}}.get(type_, {})
    async with live(ann) as socket:
        for one in (message, str(uuid.uuid4()), "no-uuid"):
            error = await socket.request(type_, channel=room, message=one, **fields)
            assert (error["type"], error["reason"]) == ("error", "NOT_FOUND")

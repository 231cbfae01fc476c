"""Hostile values in every field of every frame: the answer follows the protocol, and the socket stays open."""

import json
from typing import Any

import pytest

from tests.client import Api, Socket
from tests.flow.world import World, live
from tests.security.hostile import NO_TEXT, STRANGE, UNSTORABLE

KINDS = ["send", "edit", "delete", "react", "pin", "sync", "read", "typing", "watch", "status", "ping"]
ANSWERED = {"send", "edit", "delete", "react", "pin", "sync"}
"""Frames that are always answered; others are answered only if they are wrong."""
TEXTS = ["channel", "key", "text", "thread", "message", "emoji", "status"]
LISTS = ["attachments", "mentions", "users", "blocks"]
FITS = {*((field, "a list") for field in LISTS), ("thread", "null"), ("seq", "a number"), ("remove", "true")}
"""Fields that accept the value although it is not a string."""
ASSIGNED = {
    "role": "owner",
    "tenant": "default",
    "seq": 1,
    "id": "0f8fad5b-d9cb-469f-a165-70867728950e",
    "sender": "admin",
    "actor": "admin",
    "user": "admin",
    "at": "2001-01-01T00:00:00Z",
    "deleted": False,
    "gateway": "x",
    "__proto__": {"admin": True},
    "constructor": {"prototype": {"admin": True}},
}


async def fit(ann: Api) -> dict[str, dict[str, Any]]:
    """A valid frame of every kind."""
    room = await ann.create("group", name="a room")
    message = (await ann.post(room, "a message"))["message"]
    aimed = {"channel": room, "message": message}
    return {
        "send": {
            "channel": room,
            "key": "k",
            "text": "x",
            "thread": message,
            "attachments": [],
            "mentions": ["ann"],
            "blocks": [],
        },
        "edit": {**aimed, "text": "y", "blocks": []},
        "delete": {"channel": room, "message": "0f8fad5b-d9cb-469f-a165-70867728950e"},
        "react": {**aimed, "emoji": "👍", "remove": False},
        "pin": {**aimed, "remove": False},
        "sync": {"positions": {room: 0}},
        "read": {"channel": room, "seq": 1},
        "typing": {"channel": room},
        "watch": {"users": ["ann"]},
        "status": {"status": "online"},
        "ping": {},
    }


async def outcome(socket: Socket, kind: str, fields: dict[str, Any], ref: str) -> str:
    """The outcome of a frame: the type of the answer, the reason of an error, or "silence" without an answer."""
    await socket.raw(json.dumps({"type": kind, "ref": ref, **fields}))
    if kind in ANSWERED:
        answer = await socket.answer(ref)
    else:
        await socket.round_trip()
        answer = next((frame for frame in socket.frames if frame.get("ref") == ref), {"type": "silence"})
    return str(answer.get("reason", answer["type"]))


@pytest.mark.parametrize("kind", KINDS)
async def test_a_value_of_the_wrong_type_is_an_invalid_frame(world: World, kind: str) -> None:
    ann = await world.person("ann")
    frame = (await fit(ann))[kind]
    async with live(ann) as socket:
        for field in frame:
            wrong = {**NO_TEXT, "null": None} if field in TEXTS else {**NO_TEXT, "null": None, "a text": "x"}
            for what, hostile in wrong.items():
                if (field, what) not in FITS:
                    came = await outcome(socket, kind, {**frame, field: hostile}, f"{field}: {what}")
                    assert came == "INVALID_FRAME", (field, what)
        await socket.round_trip()


@pytest.mark.parametrize("kind", KINDS)
async def test_unstorable_text_is_refused_in_every_field(world: World, kind: str) -> None:
    ann = await world.person("ann")
    frame = (await fit(ann))[kind]
    async with live(ann) as socket:
        for field in frame:
            for what, text in UNSTORABLE.items():
                hostile: Any = [text] if field in LISTS else {text: 0} if field == "positions" else text
                came = await outcome(socket, kind, {**frame, field: hostile}, f"{field}: {what}")
                foreign = field in {"channel", "positions"}  # or there is no such channel
                assert came == "INVALID_FRAME" or (foreign and came in {"NOT_FOUND", "synced", "silence"}), (field, what)
        await socket.round_trip()


@pytest.mark.parametrize("kind", KINDS)
async def test_strange_text_is_only_text(world: World, kind: str) -> None:
    ann = await world.person("ann")
    frame = (await fit(ann))[kind]
    expected = {"ack", "NOT_FOUND", "KEY_REUSED", "synced", "silence", "pong"}
    async with live(ann) as socket:
        for field in frame:
            for what, text in STRANGE.items():
                hostile: Any = [text] if field in LISTS else {text: 0} if field == "positions" else text
                came = await outcome(socket, kind, {**frame, field: hostile}, f"{field}: {what}")
                typed = field in {"status", "seq", "remove", "emoji", "blocks"}
                assert came in expected or (typed and came == "INVALID_FRAME"), (field, what, came)
        await socket.round_trip()


@pytest.mark.parametrize("kind", KINDS)
async def test_a_field_that_the_server_sets_is_an_invalid_frame(world: World, kind: str) -> None:
    ann = await world.person("ann")
    frame = (await fit(ann))[kind]
    async with live(ann) as socket:
        for field, value in ASSIGNED.items():
            if field not in frame:
                assert await outcome(socket, kind, {**frame, field: value}, field) == "INVALID_FRAME", field
        await socket.round_trip()


async def test_every_reader_sees_the_same_value_of_a_duplicate_field(world: World) -> None:
    """The last value counts."""
    ann = await world.person("ann")
    room = await ann.create("group", name="a room")
    async with live(ann) as socket:
        await socket.raw(f'{{"type":"send","ref":1,"channel":"{room}","key":"k","text":"first","text":"last"}}')
        ack = await socket.expect("ack", ref=1)
        event = await socket.expect("event", seq=ack["seq"])
        assert event["data"]["text"] == (await ann.messages(room))[0]["text"] == "last"

"""Frames that are not as they should be, and what is answered to each: nothing is guessed, nothing is met with silence."""

import json
import uuid
from typing import Any

import pytest

from tests.client import Api, connect
from tests.flow.world import World, live

ROOM = "<room>"
"""Stands for a channel in which the sender may write."""

MALFORMED = {
    "not JSON": "hello",
    "nothing": "",
    "cut off": '{"type":"ping"',
    "more behind": '{"type":"ping"}{"type":"ping"}',
    "a list": '[{"type":"ping"}]',
    "a text": '"ping"',
    "a number": "1",
    "null": "null",
    "NaN": '{"type":"ping","ref":NaN}',
    "infinity": '{"type":"ping","ref":-Infinity}',
    "nested deeper than 32": '{"type":"ping","ref":' + "[" * 32 + "]" * 32 + "}",
    "nested 10,000 deep": '{"type":"ping","ref":' + "[" * 10_000 + "]" * 10_000 + "}",
    "a raw control character": '{"type":"ping","ref":"\x01"}',
}

WRONG: dict[str, dict[str, Any]] = {
    "no type": {"channel": ROOM},
    "an unknown type": {"type": "shout", "channel": ROOM},
    "a server's type": {"type": "hello"},
    "a type that is no text": {"type": 7},
    "send without key": {"type": "send", "channel": ROOM, "text": "x"},
    "send without text": {"type": "send", "channel": ROOM, "key": "k"},
    "send without channel": {"type": "send", "key": "k", "text": "x"},
    "send with an empty key": {"type": "send", "channel": ROOM, "key": "", "text": "x"},
    "send with an endless key": {"type": "send", "channel": ROOM, "key": "k" * 129, "text": "x"},
    "send with a number for a key": {"type": "send", "channel": ROOM, "key": 1, "text": "x"},
    "send with an object for text": {"type": "send", "channel": ROOM, "key": "k", "text": {"$gt": ""}},
    "send with null for text": {"type": "send", "channel": ROOM, "key": "k", "text": None},
    "send with a list for a channel": {"type": "send", "channel": [ROOM], "key": "k", "text": "x"},
    "send with mentions that are no list": {"type": "send", "channel": ROOM, "key": "k", "text": "x", "mentions": "bob"},
    "send with attachments that are numbers": {"type": "send", "channel": ROOM, "key": "k", "text": "x", "attachments": [1]},
    "edit without message": {"type": "edit", "channel": ROOM, "text": "x"},
    "delete without message": {"type": "delete", "channel": ROOM},
    "react without emoji": {"type": "react", "channel": ROOM, "message": str(uuid.uuid4())},
    "react with an empty emoji": {"type": "react", "channel": ROOM, "message": str(uuid.uuid4()), "emoji": ""},
    "pin with a text for remove": {"type": "pin", "channel": ROOM, "message": str(uuid.uuid4()), "remove": "yes"},
    "read without seq": {"type": "read", "channel": ROOM},
    "read with a negative seq": {"type": "read", "channel": ROOM, "seq": -1},
    "read with a broken seq": {"type": "read", "channel": ROOM, "seq": 1.5},
    "read with true for a seq": {"type": "read", "channel": ROOM, "seq": True},
    "typing without channel": {"type": "typing"},
    "watch without users": {"type": "watch"},
    "watch with a text": {"type": "watch", "users": "bob"},
    "status that there is not": {"type": "status", "status": "invisible"},
    "status offline": {"type": "status", "status": "offline"},
}


async def room_of(world: World) -> tuple[Api, str]:
    ann = await world.person("ann")
    return ann, await world.room(ann)


@pytest.mark.parametrize("text", MALFORMED.values(), ids=MALFORMED.keys())
async def test_what_is_not_a_json_object_closes_with_4502(world: World, text: str) -> None:
    async with connect(await world.person("ann")) as socket:
        await socket.raw(text)
        assert await socket.closed() == 4502


async def test_binary_closes_with_1003(world: World) -> None:
    async with connect(await world.person("ann")) as socket:
        await socket.raw(b'{"type":"ping"}')
        assert await socket.closed() == 1003


async def test_a_frame_over_64_kib_closes_with_1009(world: World) -> None:
    async with connect(await world.person("ann")) as socket:
        await socket.raw(json.dumps({"type": "ping", "ref": "x" * 65_536}))
        assert await socket.closed() == 1009


async def test_a_frame_of_64_kib_is_taken(world: World) -> None:
    async with connect(await world.person("ann")) as socket:
        empty = len(json.dumps({"type": "ping", "ref": ""}))
        ref = "x" * (65_536 - empty)
        assert (await socket.request("ping", ref=ref))["ref"] == ref


async def test_nesting_of_32_is_taken(world: World) -> None:
    ref: Any = "deep"
    for _ in range(31):
        ref = [ref]
    async with connect(await world.person("ann")) as socket:
        assert (await socket.request("ping", ref=ref))["ref"] == ref


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


async def test_what_the_protocol_does_not_name_is_not_acted_on(world: World) -> None:
    """Mass assignment: sender, number and tenant are the server's, whatever a frame says."""
    ann, room = await room_of(world)
    async with live(ann) as socket:
        extras = {"sender": "bob", "seq": 999, "tenant": "other", "at": "2000-01-01T00:00:00Z"}
        answer = await socket.post(room, "k", "hello", **extras)
    log = await ann.log(room)
    if answer["type"] == "error":
        assert answer["reason"] == "INVALID_FRAME"
        assert len(log) == 2
    else:
        assert (log[-1]["actor"], log[-1]["seq"]) == ("ann", 3)


@pytest.mark.parametrize("text", ["\ud800", "a\x00b"], ids=["a lone surrogate", "a NUL"])
async def test_text_that_cannot_be_stored_is_refused_and_harms_nobody(world: World, text: str) -> None:
    ann, room = await room_of(world)
    async with live(ann) as socket:
        await socket.raw(json.dumps({"type": "send", "ref": "bad", "channel": room, "key": "bad", "text": text}))
        answer = await socket.expect("error", ref="bad")
        assert answer["reason"] == "INVALID_FRAME"
        assert (await socket.post(room, "good", "hello"))["seq"] == 3


@pytest.mark.parametrize("type_", ["send", "edit", "delete", "react", "pin"])
@pytest.mark.parametrize("channel", ["unknown", "no uuid", "another tenant's", "not visible"])
async def test_a_channel_that_is_not_the_senders_is_not_found(world: World, type_: str, channel: str) -> None:
    ann = await world.person("ann")
    stranger = await world.person("stranger", tenant=f"{world.tenant}-x")
    hidden = await world.person("bob")
    where = {
        "unknown": str(uuid.uuid4()),
        "no uuid": "../../etc",
        "another tenant's": await world.room(stranger),
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

"""The Socket.IO door of a whole gateway: what is said, and what is refused."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
import websockets

from chassis.errors import Unavailable
from gateway.protocol.close_codes import Close
from services.gateway.tests.house import House
from services.gateway.tests.socketio.conftest import received, until
from services.gateway.tests.socketio.door_client import (
    CHANNEL,
    OTHER,
    acknowledged,
    connected,
    emit,
    ended,
    event,
    opened,
    polling,
)

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.filterwarnings("ignore::joserfc.errors.SecurityWarning"),
]


async def test_hello_comes_first_and_the_flow_opens_by_itself(house: House) -> None:
    async with opened(house) as socket:
        await socket.send("40")
        assert (await received(socket)).startswith('40{"sid":')
        name, hello = await event(socket)
        assert (name, hello["user"], [each["id"] for each in hello["channels"]]) == ("hello", "ann", [CHANNEL])
        assert "type" not in hello
        await house.store.publish(house.bus, house.store.append(CHANNEL))
        name, entry = await event(socket)
        assert (name, entry["channel"], entry["seq"]) == ("event", CHANNEL, 3)


async def test_positions_in_connect_resume(house: House) -> None:
    for _ in range(3):
        house.store.append(CHANNEL)
    async with connected(house, auth=json.dumps({"positions": {CHANNEL: 3, OTHER: 1}})) as socket:
        name, synced = await event(socket)
        assert (name, synced) == ("synced", {"channels": {CHANNEL: {"status": "complete", "seq": 5}, OTHER: {"status": "gone"}}})
        assert [(await event(socket))[1]["seq"] for _ in range(2)] == [4, 5]


async def test_hold_waits_for_a_sync(house: House) -> None:
    async with connected(house, auth='{"hold":true}') as socket:
        await house.store.publish(house.bus, house.store.append(CHANNEL))
        await emit(socket, "sync", {"positions": {CHANNEL: 1}}, 7)
        name, synced = await event(socket)
        assert (name, synced["channels"][CHANNEL]["status"]) == ("synced", "complete")
        assert await acknowledged(socket, 7) == {"ok": True, **synced}
        assert [(await event(socket))[1]["seq"] for _ in range(2)] == [2, 3]


async def test_a_first_sync_that_fails_ends_the_connection(house: House) -> None:
    house.store.append(CHANNEL)
    house.store.prompt = False
    async with connected(house, auth=json.dumps({"positions": {CHANNEL: 1}})) as socket:
        await until(lambda: any(call.may_fail for call in house.store.calls))
        for call in [each for each in house.store.calls if each.may_fail]:
            call.arrive(Unavailable())
        closing, disconnected, _ = await ended(socket)
        assert (closing["code"], disconnected) == (Close.RESYNC_NEEDED.code, False)


async def test_an_acknowledgement_means_stored(house: House) -> None:
    async with connected(house) as socket:
        await emit(socket, "send", {"channel": CHANNEL, "key": "k", "text": "x"}, 0)
        answers = [await received(socket), await received(socket)]
        [answer] = json.loads(next(each for each in answers if each.startswith("430["))[3:])
        assert answer == {"ok": True, "channel": CHANNEL, "seq": 3, "message": "m", "at": "now"}
        assert json.loads(next(each for each in answers if each.startswith("42["))[2:])[1]["seq"] == 3


async def test_a_failure_reaches_the_callback_or_the_event_error(house: House) -> None:
    async with connected(house) as socket:
        await emit(socket, "send", {"channel": OTHER, "key": "k", "text": "x"}, 9007199254740991)
        answer = await acknowledged(socket, 9007199254740991)
        assert (answer["ok"], answer["reason"]) == (False, "NOT_FOUND")
        await emit(socket, "send", {"channel": OTHER, "key": "k", "text": "x"})
        name, error = await event(socket)
        assert (name, error["event"], error["reason"]) == ("error", "send", "NOT_FOUND")
        assert error.keys() == {"event", "reason", "detail"}


async def test_success_without_a_callback_is_silent(house: House) -> None:
    async with connected(house) as socket:
        await emit(socket, "ping", {})
        await emit(socket, "status", {"status": "away"})
        await emit(socket, "ping", {}, 1)
        assert await acknowledged(socket, 1) == {"ok": True}


@pytest.mark.parametrize(
    ("name", "argument"),
    [
        ("typing", {"channel": CHANNEL}),
        ("read", {"channel": CHANNEL, "seq": 1}),
        ("watch", {"users": []}),
        ("status", {"status": "online"}),
        ("ping", {}),
    ],
)
async def test_every_event_is_acknowledged(house: House, name: str, argument: Any) -> None:
    async with connected(house) as socket:
        await emit(socket, name, argument, 5)
        assert await acknowledged(socket, 5) == {"ok": True}


async def test_a_callback_is_called_once_when_a_silent_event_is_refused(house: House) -> None:
    async with connected(house) as socket:
        await emit(socket, "read", {"channel": OTHER, "seq": 1}, 5)
        assert (await acknowledged(socket, 5))["reason"] == "NOT_FOUND"
        await emit(socket, "ping", {}, 6)
        assert await acknowledged(socket, 6) == {"ok": True}


WRONG = {
    "unknown name": '42{}["nothing",{{}}]',
    "reserved name": '42{}["connect",{{}}]',
    "prototype": '42{}["__proto__",{{}}]',
    "no object": '42{}["ping"]',
    "text for an object": '42{}["ping","x"]',
    "list for an object": '42{}["ping",[]]',
    "null for an object": '42{}["ping",null]',
    "several arguments": '42{}["ping",{{}},{{}}]',
    "no name": "42{}[5,{{}}]",
    "null as name": "42{}[null]",
    "unknown field": '42{}["ping",{{"x":1}}]',
    "type": '42{}["ping",{{"type":"ping"}}]',
    "type, escaped": '42{}["ping",{{"\\u0074ype":"ping"}}]',
    "ref": '42{}["ping",{{"ref":1}}]',
    "field of the wrong type": '42{}["status",{{"status":1}}]',
    "lone surrogate": '42{}["send",{{"channel":"\\ud800","key":"k","text":"x"}}]',
    "empty name": '42{}["",{{}}]',
}


async def test_a_wrong_event_is_invalid_and_the_socket_stays(house: House) -> None:
    async with connected(house) as socket:
        for name, packet in WRONG.items():
            await socket.send(packet.format(3))
            answer = await acknowledged(socket, 3)
            assert (answer["ok"], answer["reason"]) == (False, "INVALID_FRAME"), name
            await socket.send(packet.format(""))
            kind, error = await event(socket)
            assert (kind, error["reason"]) == ("error", "INVALID_FRAME"), name
            found = json.loads(packet.format("")[2:])[0]
            assert error["event"] == (found if isinstance(found, str) else None), name


async def test_binary_is_invalid_and_the_socket_stays(house: House) -> None:
    async with connected(house) as socket:
        await socket.send('451-3["send",{"channel":{"_placeholder":true,"num":0}}]')
        await socket.send(b"x")
        assert (await acknowledged(socket, 3))["reason"] == "INVALID_FRAME"
        await socket.send('450-4["ping",{}]')
        assert (await acknowledged(socket, 4))["reason"] == "INVALID_FRAME"


NESTED = '{"channel":' + "[" * 32 + "]" * 32 + "}"


@pytest.mark.parametrize(
    "packets",
    [["4x"], ["42{}"], ["42[]"], [f'421["send",{NESTED}]'], [b"x"], ["451-[1]", "42[1]"], ["40/x"], ["0"], ["2"], ["9"]],
)
async def test_what_is_no_packet_ends_the_session_for_good(house: House, packets: list[Any]) -> None:
    """A namespace beside the main one is the exception: it is refused, and the session stays."""
    async with connected(house) as socket:
        for packet in packets:
            await socket.send(packet)
        if packets == ["40/x"]:
            assert await received(socket) == '44/x,{"message":"Invalid namespace"}'
            await socket.send("9")
        closing, disconnected, code = await ended(socket)
        assert (closing, disconnected, code) == ({"code": 4502, "reason": "malformed frame"}, True, 4502)


async def test_a_message_that_nests_as_deeply_as_a_frame_may_is_answered(house: House) -> None:
    async with connected(house) as socket:
        await socket.send('421["send",{"channel":' + "[" * 31 + "]" * 31 + "}]")
        assert (await acknowledged(socket, 1))["reason"] == "INVALID_FRAME"


async def test_a_message_beyond_the_limit_is_closed(house: House) -> None:
    async with connected(house) as socket:
        await socket.send('42["send",{"text":"' + "x" * 65_536 + '"}]')
        assert (await ended(socket))[2] == Close.FRAME_TOO_LARGE.code


@pytest.mark.parametrize("packet", ["3", "6", "4312[]", '42["ping",{}]', '42["nothing",{}]', "40/x"])
async def test_a_flood_of_packets_ends_the_session(house: House, packet: str) -> None:
    async with connected(house) as socket, asyncio.timeout(30):
        closing = asyncio.create_task(ended(socket))
        while not closing.done():
            try:
                for _ in range(500):
                    await socket.send(packet)
            except websockets.ConnectionClosed:
                break
        assert (await closing)[0]["code"] == Close.FLOODING.code


async def test_a_flood_in_one_request_ends_the_session(house: House) -> None:
    async with polling(house, **house.bearer("ann")) as poller:
        await poller.send("40")
        assert (await poller.post("\x1e".join(["3"] * 30_000))).status_code == 400
        assert not house.gateway.registry.connections

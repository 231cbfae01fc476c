"""The Socket.IO door of a whole gateway, packet by packet. Stock clients: tests/flow/test_socketio.py."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import websockets

from chassis.errors import Unavailable
from gateway.protocol.close_codes import Close
from gateway.socketio import client as socketio_client
from gateway.socketio import door as socketio_door
from gateway.socketio.session import Session
from services.gateway.tests.house import House, open_house
from services.gateway.tests.socketio.conftest import closed, received, refused, until
from services.gateway.tests.world import JOINED

pytestmark = pytest.mark.filterwarnings("ignore::joserfc.errors.SecurityWarning")
PATH = "/socket.io/"
CHANNEL = "0190a0b0-0000-7000-8000-000000000001"
OTHER = "0190a0b0-0000-7000-8000-000000000002"
NAMED = {"EIO": "4", "transport": "polling"}


@pytest.fixture
async def house(valkey_url: str, tmp_path: Path) -> AsyncIterator[House]:
    """A gateway with the door, and a channel of ann and bob."""
    async with open_house(valkey_url, tmp_path, socketio=True) as opened:
        for user in ("ann", "bob"):
            opened.store.append(CHANNEL, JOINED, user)
        yield opened


def socket_url(house: House, **parameters: str) -> str:
    query = httpx.QueryParams({"EIO": "4", "transport": "websocket", **parameters})
    return f"ws://127.0.0.1:{house.port}{PATH}?{query}"


def websocket(house: House, user: str | None = "ann", **parameters: str) -> Any:
    headers = house.bearer(user) if user else {}
    return websockets.connect(
        socket_url(house, **parameters), additional_headers=headers, ping_interval=None, compression=None, max_size=None
    )


@asynccontextmanager
async def opened(house: House, user: str | None = "ann", **parameters: str) -> AsyncIterator[Any]:
    """A WebSocket whose session is open."""
    async with websocket(house, user, **parameters) as socket:
        assert (await received(socket)).startswith("0{")
        yield socket


@asynccontextmanager
async def connected(house: House, user: str = "ann", auth: str = "") -> AsyncIterator[Any]:
    """A WebSocket that is connected, after `hello`."""
    async with opened(house, user) as socket:
        await socket.send(f"40{auth}")
        assert (await received(socket)).startswith('40{"sid":')
        assert (await event(socket))[0] == "hello"
        yield socket


async def event(socket: Any) -> tuple[str, Any]:
    """The next event."""
    packet = await received(socket)
    assert packet.startswith("42["), packet
    name, argument, *_offset = json.loads(packet[2:])
    return name, argument


async def acknowledged(socket: Any, number: int) -> Any:
    """The next acknowledgement."""
    packet = await received(socket)
    assert packet.startswith(f"43{number}["), packet
    [argument] = json.loads(packet.removeprefix(f"43{number}"))
    return argument


async def emit(socket: Any, name: str, argument: Any, number: int | str = "") -> None:
    await socket.send(f"42{number}" + json.dumps([name, argument]))


async def ended(socket: Any) -> tuple[Any, bool, int]:
    """What the client is told at the end: `closing`, whether a `DISCONNECT` follows, and the close code."""
    closing, disconnected = None, False
    async with asyncio.timeout(10):
        try:
            async for packet in socket:
                if packet.startswith('42["closing"'):
                    closing = json.loads(packet[2:])[1]
                disconnected |= packet == "41"
        except websockets.ConnectionClosed:
            pass
    return closing, disconnected, socket.close_code


def sessions(house: House) -> dict[str, Session]:
    assert house.gateway.socketio is not None
    return house.gateway.socketio.sessions


# Who.


async def test_the_door_is_closed_unless_it_is_configured(valkey_url: str, tmp_path: Path) -> None:
    async with open_house(valkey_url, tmp_path) as closed_house, httpx.AsyncClient(base_url=closed_house.url) as http:
        assert (await http.get(PATH, params=NAMED)).status_code == 404
        assert await refused(websocket(closed_house)) == 404


async def test_the_handshake_says_the_heartbeat_and_the_limit(house: House) -> None:
    async with websocket(house) as socket:
        value = json.loads((await received(socket))[1:])
        assert (value["pingInterval"], value["pingTimeout"], value["maxPayload"]) == (25_000, 20_000, 65_536)


async def test_a_token_in_the_first_request_opens_a_session(house: House) -> None:
    async with connected(house):
        assert len(house.gateway.registry.connections) == 1


async def test_a_ticket_in_the_first_request_opens_a_session_and_stays_in_its_requests(house: House) -> None:
    async with httpx.AsyncClient(base_url=house.url) as http:
        ticket = (await http.post("/v1/tickets", headers=house.bearer("ann"))).json()["ticket"]
        named = {**NAMED, "ticket": ticket}
        named["sid"] = json.loads((await http.get(PATH, params=named)).text[1:])["sid"]
        assert (await http.post(PATH, params=named, content="40")).text == "ok"
        assert (await http.get(PATH, params=named)).text.startswith("40{")


@pytest.mark.parametrize(
    ("headers", "query", "status", "body"),
    [
        ({"Authorization": "Bearer x"}, {}, 401, {"code": 4, "message": "NOT_AUTHENTICATED"}),
        ({"Authorization": ""}, {}, 401, {"code": 4, "message": "NOT_AUTHENTICATED"}),
        ({}, {"ticket": "x"}, 401, {"code": 4, "message": "NOT_AUTHENTICATED"}),
        ({}, {"token": "x"}, 401, {"code": 4, "message": "NOT_AUTHENTICATED"}),
        ({"Origin": "https://evil.example"}, {}, 403, {"code": 4, "message": "NOT_ALLOWED"}),
    ],
)
async def test_a_wrong_credential_or_origin_is_refused(
    house: House, headers: dict[str, str], query: dict[str, str], status: int, body: Any
) -> None:
    async with httpx.AsyncClient(base_url=house.url) as http:
        answer = await http.get(PATH, params=NAMED | query, headers=headers)
        assert (answer.status_code, answer.json()) == (status, body)
    connecting = websockets.connect(socket_url(house, **query), additional_headers=headers)
    assert await refused(connecting) == status
    assert not sessions(house)


async def test_a_gateway_that_stops_answers_503(house: House) -> None:
    house.lifecycle.stop()
    async with httpx.AsyncClient(base_url=house.url) as http:
        answer = await http.get(PATH, params=NAMED, headers=house.bearer("ann"))
    assert (answer.status_code, answer.json()) == (503, {"code": 3, "message": "UNAVAILABLE"})
    assert int(answer.headers["retry-after"]) >= 1


async def test_a_client_that_begins_with_a_websocket_shows_its_token_first(house: House) -> None:
    assert await refused(websocket(house, None)) == 401


async def test_late_authentication_can_be_allowed(valkey_url: str, tmp_path: Path) -> None:
    async with open_house(valkey_url, tmp_path, socketio=True, socketio_late_auth=True) as late, opened(late, None) as socket:
        await socket.send("40" + json.dumps({"token": late.token("ann")}))
        assert (await received(socket)).startswith('40{"sid":')
        assert (await event(socket))[1]["user"] == "ann"


class Poller:
    """A session that polls."""

    def __init__(self, http: httpx.AsyncClient, sid: str) -> None:
        self._http = http
        self.sid = sid
        self._received: list[str] = []

    @property
    def named(self) -> dict[str, str]:
        return {**NAMED, "sid": self.sid}

    async def get(self, **headers: str) -> httpx.Response:
        return await self._http.get(PATH, params=self.named, headers=headers)

    async def post(self, packets: str, **headers: str) -> httpx.Response:
        return await self._http.post(PATH, params=self.named, content=packets, headers=headers)

    async def recv(self) -> str:
        """The next packet, as the WebSocket's."""
        while not self._received:
            answer = await self.get()
            assert answer.status_code == 200, answer.text
            self._received = answer.text.split("\x1e")
            assert self._received == ["1"] or "1" not in self._received, "stock clients drop what comes with a close packet"
        return self._received.pop(0)

    async def send(self, packet: str) -> None:
        assert (await self.post(packet)).text == "ok"


@asynccontextmanager
async def polling(house: House, **headers: str) -> AsyncIterator[Poller]:
    async with httpx.AsyncClient(base_url=house.url, timeout=60) as http:
        sid = json.loads((await http.get(PATH, params=NAMED, headers=headers)).text[1:])["sid"]
        yield Poller(http, sid)


async def test_a_session_that_polls_connects_by_the_token_in_connect(house: House) -> None:
    async with polling(house) as poller:
        await poller.send("40" + json.dumps({"token": house.token("ann")}))
        assert (await poller.recv()).startswith('40{"sid":')
        assert (await event(poller))[1]["user"] == "ann"


@pytest.mark.parametrize("auth", [{}, {"token": "x"}, {"ticket": "x"}])
async def test_a_connect_without_a_valid_credential_is_refused(house: House, auth: dict[str, str]) -> None:
    async with polling(house) as poller:
        await poller.send("40" + json.dumps(auth))
        packet = await poller.recv()
        assert packet.startswith("44{")
        answer = json.loads(packet[2:])
        assert answer["message"] == answer["data"]["reason"] == "NOT_AUTHENTICATED"
        assert answer["data"].keys() == {"reason", "detail"}


@pytest.mark.parametrize(
    "auth",
    [
        {"positions": []},
        {"positions": {CHANNEL: -1}},
        {"positions": None},
        {"hold": 1},
        {"token": 5},
        {"positions": {CHANNEL: "1"}},
    ],
)
async def test_a_connect_with_wrong_fields_is_refused(house: House, auth: dict[str, Any]) -> None:
    async with opened(house) as socket:
        await socket.send("40" + json.dumps(auth))
        packet = await received(socket)
        assert packet.startswith("44{")
        assert json.loads(packet[2:])["message"] == "INVALID_FRAME"
    assert not house.gateway.registry.connections


async def test_the_identity_of_the_first_request_wins(house: House) -> None:
    async with opened(house, "ann") as socket:
        await socket.send("40" + json.dumps({"token": house.token("bob")}))
        assert json.loads((await received(socket))[2:])["message"] == "NOT_AUTHENTICATED"
        await socket.send("40" + json.dumps({"token": house.token("ann")}))
        assert (await received(socket)).startswith('40{"sid":')


async def test_a_request_with_the_credential_of_another_user_is_403_and_one_without_any_is_served(house: House) -> None:
    async with polling(house, **house.bearer("ann")) as poller:
        await poller.send("40")
        assert (await poller.get(**house.bearer("bob"))).status_code == 403
        assert (await poller.post("3", **house.bearer("bob"))).json() == {"code": 4, "message": "NOT_ALLOWED"}
        assert await refused(websocket(house, "bob", sid=poller.sid)) == 403
        assert (await poller.get(**house.bearer("ann", seconds=900))).status_code == 200


async def test_a_blocked_user_is_refused(house: House) -> None:
    house.store.void.add("ann")
    async with opened(house) as socket:
        await socket.send("40")
        assert json.loads((await received(socket))[2:])["message"] == "NOT_AUTHENTICATED"


async def test_what_passes_by_itself_closes_the_transport_so_that_clients_come_back(house: House) -> None:
    async with opened(house) as socket, polling(house, **house.bearer("ann")) as poller:
        house.store.failure = Unavailable()
        await socket.send("40")
        assert await closed(socket) == Close.RESTARTING.code
        await poller.send("40")
        await until(lambda: not sessions(house))
        assert (await poller.get()).json() == {"code": 1, "message": "Session ID unknown"}


async def test_an_unknown_namespace_is_refused_and_the_session_goes_on(house: House) -> None:
    async with polling(house) as poller:
        await poller.send("40/admin,{}")
        assert await poller.recv() == '44/admin,{"message":"Invalid namespace"}'
        await poller.send("40" + json.dumps({"token": house.token("ann")}))
        assert (await poller.recv()).startswith('40{"sid":')


@pytest.mark.parametrize("packet", ['42["send",{}]', "41", "431[]", '44{"message":"x"}', '42/admin,["a"]'])
async def test_a_session_begins_with_connect(house: House, packet: str) -> None:
    async with opened(house) as socket:
        await socket.send(packet)
        assert await closed(socket) == Close.MALFORMED_FRAME.code


async def test_a_second_connect_ends_the_session(house: House) -> None:
    async with connected(house) as socket:
        await socket.send("40")
        assert (await ended(socket))[0]["code"] == Close.MALFORMED_FRAME.code


async def test_a_client_that_is_not_known_in_time_ends(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socketio_client, "CONNECT_SECONDS", 0.1)
    async with polling(house) as poller, opened(house) as socket:
        await poller.send("40/admin,{}")  # which does not make it known
        await until(lambda: not sessions(house))
        await closed(socket)


async def test_sessions_that_are_not_known_are_bounded_by_address(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socketio_door, "STRANGERS", 2)
    async with polling(house) as first, polling(house), httpx.AsyncClient(base_url=house.url) as http:
        answer = await http.get(PATH, params=NAMED)
        assert (answer.status_code, answer.json()["message"]) == (503, "RATE_LIMITED")
        assert (await http.get(PATH, params=NAMED, headers=house.bearer("ann"))).status_code == 200
        await first.send("40" + json.dumps({"token": house.token("ann")}))
        assert (await first.recv()).startswith("40{")
        assert (await http.get(PATH, params=NAMED)).status_code == 200
        assert (await http.get(PATH, params=NAMED)).status_code == 503


async def test_an_upgrade_waits_until_the_client_is_known(house: House) -> None:
    async with polling(house) as poller:
        upgrading = asyncio.create_task(websocket(house, None, sid=poller.sid).__aenter__())
        await poller.send("40" + json.dumps({"token": house.token("ann")}))
        socket = await upgrading
        await socket.send("2probe")
        assert await received(socket) == "3probe"
        await socket.close()


async def test_an_upgrade_of_a_client_that_stays_unknown_is_401(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socketio_door, "CONNECT_SECONDS", 0.1)
    async with polling(house) as poller:
        assert await refused(websocket(house, None, sid=poller.sid)) == 401


# What is said.


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


# How it ends.


async def test_a_revoked_user_is_told_to_stay_away(house: House) -> None:
    async with connected(house) as socket:
        await house.decide("ann", blocked=True)
        assert await ended(socket) == ({"code": 4501, "reason": "access revoked"}, True, 4501)


async def test_a_revoked_user_that_polls_is_told_to_stay_away(house: House) -> None:
    async with polling(house, **house.bearer("ann")) as poller:
        await poller.send("40")
        assert (await poller.recv()).startswith("40{")
        await house.decide("ann", blocked=True)
        packets = []
        while "1" not in packets:
            packets.append(await poller.recv())
        assert packets[-3:] == ['42["closing",{"code":4501,"reason":"access revoked"}]', "41", "1"]
        assert (await poller.get()).status_code == 400


async def test_one_connection_too_many_is_accepted_and_closed(valkey_url: str, tmp_path: Path) -> None:
    async with (
        open_house(valkey_url, tmp_path, socketio=True, connections_per_user=1) as small,
        connected(small),
        connected(small) as second,
    ):
        assert await ended(second) == ({"code": 4503, "reason": "too many connections"}, True, 4503)


async def test_a_session_that_stopped_polling_does_not_count(
    valkey_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.socketio.wire.SILENT_SECONDS", -1.0)
    async with (
        open_house(valkey_url, tmp_path, socketio=True, connections_per_user=1) as small,
        polling(small, **small.bearer("ann")) as poller,
    ):
        await poller.send("40")
        await until(lambda: len(small.gateway.registry.connections) == 1)
        async with connected(small) as socket:
            await emit(socket, "ping", {}, 1)
            assert await acknowledged(socket, 1) == {"ok": True}


async def test_a_client_that_disconnects_is_gone(house: House) -> None:
    async with connected(house) as socket:
        await socket.send("41")
        await closed(socket)
    await until(lambda: not house.gateway.registry.connections and not sessions(house))


async def test_a_client_that_vanishes_is_gone(house: House) -> None:
    async with connected(house) as socket:
        socket.transport.abort()
    await until(lambda: not house.gateway.registry.connections and not sessions(house))


async def test_a_token_that_ends_is_told(house: House) -> None:
    headers = house.bearer("ann", seconds=2)
    async with websockets.connect(socket_url(house), additional_headers=headers) as socket:
        await received(socket)
        await socket.send("40")
        closing, disconnected, code = await ended(socket)
        assert (closing["code"], disconnected, code) == (Close.TOKEN_EXPIRED.code, False, Close.TOKEN_EXPIRED.code)


async def test_an_idle_client_is_not_closed_by_the_native_heartbeat(valkey_url: str, tmp_path: Path) -> None:
    async with open_house(valkey_url, tmp_path, socketio=True, heartbeat_seconds=1) as house, connected(house) as socket:
        house.gateway.registry.sweep.advance(house.gateway.registry.sweep.now + 100)
        await emit(socket, "ping", {}, 1)
        assert await acknowledged(socket, 1) == {"ok": True}


async def test_a_drain_announces_itself_and_closes(valkey_url: str, tmp_path: Path) -> None:
    async with open_house(valkey_url, tmp_path, socketio=True) as house, httpx.AsyncClient(base_url=house.url) as http:
        stranger = json.loads((await http.get(PATH, params=NAMED)).text[1:])["sid"]
        async with connected(house) as socket, polling(house, **house.bearer("bob")) as poller:
            await poller.send("40")
            await until(lambda: len(house.gateway.registry.connections) == 2)
            house.lifecycle.stop()
            assert (await event(socket))[0] == "reconnect"
            assert await ended(socket) == ({"code": 1012, "reason": "server restarting"}, False, 1012)
            packets = []
            while "1" not in packets:
                packets.append(await poller.recv())
            assert packets[-2:] == ['42["closing",{"code":1012,"reason":"server restarting"}]', "1"]
        await until(lambda: stranger not in sessions(house))


# Transports.


async def test_a_session_upgrades_and_loses_nothing(house: House) -> None:
    async with polling(house, **house.bearer("ann")) as poller, websocket(house, "ann", sid=poller.sid) as socket:
        await poller.send("40")
        assert (await poller.recv()).startswith("40{")
        assert (await event(poller))[0] == "hello"
        await socket.send("2probe")
        assert await received(socket) == "3probe"
        seqs = []
        for number in range(40):
            await house.store.publish(house.bus, house.store.append(CHANNEL))
            if number == 20:
                await until(lambda: house.gateway.hub.channels[CHANNEL].head >= 20)
                seqs += [json.loads(packet[2:])[1]["seq"] for packet in (await poller.get()).text.split("\x1e") if packet != "6"]
                await socket.send("5")
        while len(seqs) < 40:
            seqs.append((await event(socket))[1]["seq"])
        assert seqs == list(range(3, 43))


async def test_a_client_that_does_not_poll_is_a_slow_consumer(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.wire.writer.UNREAD_BYTES", 2_000)
    async with polling(house, **house.bearer("ann")) as poller:
        await poller.send("40")
        await until(lambda: len(house.gateway.registry.connections) == 1)
        while house.gateway.registry.connections:
            await house.store.publish(house.bus, house.store.append(CHANNEL))
        packets = []
        while "1" not in packets:
            packets.append(await poller.recv())
        assert packets[-2] == '42["closing",{"code":4002,"reason":"slow consumer"}]'


async def test_pages_of_the_allow_list_may_poll(valkey_url: str, tmp_path: Path) -> None:
    origin = "https://shop.example"
    async with (
        open_house(valkey_url, tmp_path, socketio=True, allowed_origins=frozenset({origin})) as house,
        httpx.AsyncClient(base_url=house.url) as http,
    ):
        preflight = {"Origin": origin, "Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "authorization"}
        answer = await http.options(PATH, headers=preflight)
        assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (204, origin)
        answer = await http.get(PATH, params=NAMED, headers={"Origin": origin, **house.bearer("ann")})
        assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (200, origin)
        assert "access-control-allow-credentials" not in answer.headers
        answer = await http.get(PATH, params={**NAMED, "sid": "x"}, headers={"Origin": origin})
        assert (answer.status_code, answer.headers["access-control-allow-origin"]) == (400, origin)

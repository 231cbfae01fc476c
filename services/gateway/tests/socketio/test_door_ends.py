"""The Socket.IO door of a whole gateway: how sessions end, and the transports."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest
import websockets

from gateway.protocol.close_codes import Close
from services.gateway.tests.house import House, open_house
from services.gateway.tests.socketio.conftest import closed, received, until
from services.gateway.tests.socketio.door_client import (
    CHANNEL,
    NAMED,
    PATH,
    acknowledged,
    connected,
    emit,
    ended,
    event,
    polling,
    sessions,
    socket_url,
    websocket,
)

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.filterwarnings("ignore::joserfc.errors.SecurityWarning"),
]


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


async def test_one_connection_too_many_is_accepted_and_closed(bus_url: str, tmp_path: Path) -> None:
    async with (
        open_house(bus_url, tmp_path, socketio=True, connections_per_user=1) as small,
        connected(small),
        connected(small) as second,
    ):
        assert await ended(second) == ({"code": 4503, "reason": "too many connections"}, True, 4503)


async def test_a_session_that_stopped_polling_does_not_count(
    bus_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.socketio.wire.SILENT_SECONDS", -1.0)
    async with (
        open_house(bus_url, tmp_path, socketio=True, connections_per_user=1) as small,
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


async def test_an_idle_client_is_not_closed_by_the_native_heartbeat(bus_url: str, tmp_path: Path) -> None:
    async with open_house(bus_url, tmp_path, socketio=True, heartbeat_seconds=1) as house, connected(house) as socket:
        house.gateway.registry.sweep.advance(house.gateway.registry.sweep.now + 100)
        await emit(socket, "ping", {}, 1)
        assert await acknowledged(socket, 1) == {"ok": True}


async def test_a_drain_announces_itself_and_closes(bus_url: str, tmp_path: Path) -> None:
    async with open_house(bus_url, tmp_path, socketio=True) as house, httpx.AsyncClient(base_url=house.url) as http:
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


async def test_pages_of_the_allow_list_may_poll(bus_url: str, tmp_path: Path) -> None:
    origin = "https://shop.example"
    async with (
        open_house(bus_url, tmp_path, socketio=True, allowed_origins=frozenset({origin})) as house,
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

"""Stock Socket.IO clients against a whole gateway: npm's socket.io-client in Node, and python-socketio's."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import socketio

from chassis.errors import Unavailable
from gateway.protocol.close_codes import Close
from services.gateway.tests.house import House
from services.gateway.tests.socketio.conftest import until
from services.gateway.tests.socketio.stock import CHANNEL, SECONDS, TRANSPORTS, by_header, post, stock

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.filterwarnings("ignore::joserfc.errors.SecurityWarning"),
]


@TRANSPORTS
async def test_a_stock_client_sends_and_receives(house: House, transports: list[str]) -> None:
    async with stock(house.url, transports=transports, **by_header(house)) as client:
        hello = await client.told("hello")
        assert (hello["user"], [each["id"] for each in hello["channels"]]) == ("ann", [CHANNEL])
        [answer] = await client.answer("send", post("k"))
        assert (answer["ok"], answer["seq"]) == (True, 3)
        await house.store.publish(house.bus, house.store.append(CHANNEL))
        assert (await client.told("event"))["seq"] in (3, 4)
        [answer] = await client.answer("send", {**post("k"), "channel": "0190a0b0-0000-7000-8000-0000000000ff"})
        assert (answer["ok"], answer["reason"]) == (False, "NOT_FOUND")


async def test_a_stock_client_upgrades_although_only_connect_tells_who_it_is(house: House) -> None:
    async with stock(house.url, auth={"token": house.token("ann")}) as client:
        await client.told("hello")
        engine = house.gateway.socketio
        assert engine is not None
        await until(lambda: [session.polling for session in engine.sessions.values()] == [None])
        [answer] = await client.answer("ping", {})
        assert answer == {"ok": True}


@TRANSPORTS
async def test_a_stock_client_with_retries_gets_its_answers(house: House, transports: list[str]) -> None:
    """Its callbacks are called with an error first then."""
    options = {"retries": 3, "ackTimeout": 10_000}
    async with stock(house.url, transports=transports, **options, **by_header(house)) as client:
        await client.told("hello")
        error, answer = await client.answer("send", post("k"))
        assert (error, answer["ok"]) == (None, True)


@TRANSPORTS
@pytest.mark.parametrize("how", [Close.RESTARTING, Close.RESYNC_NEEDED, Close.SLOW_CONSUMER], ids=lambda how: how.name)
async def test_a_stock_client_that_keeps_positions_misses_nothing(house: House, transports: list[str], how: Close) -> None:
    async with stock(house.url, transports=transports, **by_header(house)) as client:
        await client.told("hello")
        await client.answer("ping", {})
        for number in range(60):
            await house.store.publish(house.bus, house.store.append(CHANNEL))
            if number % 20 == 10:
                await until(lambda: len(house.gateway.registry.connections) == 1)
                for connection in list(house.gateway.registry.connections.values()):
                    house.gateway.registry.close(connection, how)
                assert (await client.told("closing"))["code"] == how.code
                assert (await client.told("disconnect"))["active"] is True
        while len(client.seqs) < 60:
            await client.told("event")
        assert client.seqs == list(range(3, 63))


@TRANSPORTS
async def test_a_stock_client_whose_access_is_revoked_stays_away(house: House, transports: list[str]) -> None:
    async with stock(house.url, transports=transports, **by_header(house)) as client:
        await client.told("hello")
        await house.decide("ann", blocked=True)
        assert await client.told("closing") == {"code": 4501, "reason": "access revoked"}
        assert await client.told("disconnect") == {"reason": "io server disconnect", "active": False}


async def test_a_stock_client_that_is_refused_learns_the_reason_and_stays_away(house: House) -> None:
    async with stock(house.url, auth={"token": "x"}) as client:
        error = await client.told("connect_error")
        assert (error["message"], error["data"]["reason"], error["active"]) == ("NOT_AUTHENTICATED", "NOT_AUTHENTICATED", False)


@TRANSPORTS
async def test_a_stock_client_comes_back_by_itself_after_what_passes(house: House, transports: list[str]) -> None:
    house.store.failure = Unavailable()
    async with stock(house.url, transports=transports, **by_header(house)) as client:
        assert (await client.told("connect_error", "disconnect"))["active"] is True
        house.store.failure = None
        assert (await client.told("hello"))["user"] == "ann"


async def test_a_stock_client_that_leaves_is_gone(house: House) -> None:
    async with stock(house.url, **by_header(house)) as client:
        await client.told("hello")
        client.tell("close")
        await until(lambda: not house.gateway.registry.connections)


# The Python client. python-engineio refuses a payload of more than 16 packets.


@pytest.mark.parametrize("transports", [["polling"], ["websocket"], ["polling", "websocket"]], ids="+".join)
async def test_the_python_client_sends_receives_and_resumes(house: House, transports: list[str]) -> None:
    client = socketio.AsyncClient(reconnection=False)
    events: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    greeted = asyncio.Event()

    async def received(event: dict[str, Any], _offset: str) -> None:
        await events.put(event)

    client.on("hello", lambda _hello: greeted.set())
    client.on("event", received)
    for _ in range(100):
        house.store.append(CHANNEL)
    async with asyncio.timeout(SECONDS):
        await client.connect(house.url, headers=house.bearer("ann"), auth={"positions": {CHANNEL: 2}}, transports=transports)
        await greeted.wait()
        assert [(await events.get())["seq"] for _ in range(100)] == list(range(3, 103))
        answer = await client.call("send", post("k"))
        assert (answer["ok"], answer["seq"]) == (True, 103)
        assert (await events.get())["seq"] == 103
        await client.disconnect()

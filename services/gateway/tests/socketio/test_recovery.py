"""Connection state recovery: a session goes on, at any gateway, or its client is told that it does not."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
import websockets

from gateway.socketio.session import Heartbeat
from services.gateway.tests.house import House
from services.gateway.tests.socketio.conftest import until
from services.gateway.tests.socketio.pair import Pair, third
from services.gateway.tests.socketio.stock import CHANNEL, TRANSPORTS, by_header, stock
from services.gateway.tests.world import JOINED, REMOVED

pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.filterwarnings("ignore::joserfc.errors.SecurityWarning"),
]
OTHER = "0190a0b0-0000-7000-8000-000000000002"
NO_GATEWAY = "0123456789ab"


class Refused(Exception):
    """The answer was `CONNECT_ERROR`."""


class Client:
    """A client as stock ones are: it remembers its `pid` and the last offset."""

    def __init__(self, user: str = "ann") -> None:
        self.user = user
        self.pid: str | None = None
        self.offset: str | None = None
        self.recovered = False
        self.told: list[tuple[str, Any]] = []
        """Every event since the last connection."""
        self.socket: Any = None

    @property
    def seqs(self) -> list[int]:
        return [value["seq"] for name, value in self.told if name == "event"]

    @property
    def names(self) -> list[str]:
        return [name for name, _ in self.told]

    @asynccontextmanager
    async def connected(self, house: House, **auth: Any) -> AsyncIterator[Client]:
        """Connect with what is remembered, and wait until the flow is open."""
        self.told.clear()
        remembered = {name: value for name, value in (("pid", self.pid), ("offset", self.offset)) if value is not None}
        query = httpx.QueryParams({"EIO": "4", "transport": "websocket"})
        url = f"ws://127.0.0.1:{house.port}/socket.io/?{query}"
        async with websockets.connect(url, additional_headers=house.bearer(self.user), ping_interval=None) as self.socket:
            await self.socket.send("40" + json.dumps({**remembered, **auth}))
            while not (packet := await self.packet()).startswith("40"):
                if packet.startswith("44"):
                    raise Refused(packet)
            connected = json.loads(packet[2:])
            self.recovered, self.pid = connected["pid"] == self.pid, connected["pid"]
            await self.settle()
            yield self

    async def settle(self) -> None:
        """Receive everything that was written before now."""
        await self.socket.send('427["ping",{}]')
        while not (packet := await self.packet()).startswith("437"):
            self._take(packet)

    async def until(self, count: int) -> list[int]:
        """Receive so many log entries; their numbers."""
        while len(self.seqs) < count:
            self._take(await self.packet())
        return self.seqs

    async def packet(self) -> str:
        """The next packet."""
        async with asyncio.timeout(10):
            return str(await self.socket.recv())

    def _take(self, packet: str) -> None:
        if packet.startswith("42"):
            name, value, *offset = json.loads(packet[2:])
            self.told.append((name, value))
            if offset:
                [self.offset] = offset

    async def cut(self) -> None:
        """Lose the connection without a word."""
        self.socket.transport.abort()
        await self.socket.wait_closed()


async def happen(pair: Pair, count: int = 1, channel: str = CHANNEL) -> None:
    for _ in range(count):
        await pair.one.store.publish(pair.one.bus, pair.one.store.append(channel))


async def delivered(pair: Pair) -> None:
    """Wait until both gateways have delivered everything."""
    store = pair.one.store
    for house in (pair.one, pair.two):
        channels = house.gateway.hub.channels
        await until(lambda channels=channels: all(each.head == store.head(key) for key, each in channels.items()))  # type: ignore[misc]


async def no_connection(pair: Pair) -> None:
    await until(lambda: not any(house.gateway.registry.connections for house in (pair.one, pair.two)))


async def test_a_session_goes_on_at_any_gateway(pair: Pair) -> None:
    ann = Client()
    async with ann.connected(pair.one):
        assert (ann.names, ann.recovered) == (["hello"], False)
        await happen(pair, 2)
        assert await ann.until(2) == [3, 4]
        await ann.cut()
    await no_connection(pair)
    for turn, house in enumerate((pair.two, pair.one, pair.one, pair.two)):
        await happen(pair, 2)
        async with ann.connected(house):
            assert ann.recovered is True
            assert await ann.until(2) == [5 + 3 * turn, 6 + 3 * turn]
            await happen(pair)
            assert await ann.until(3) == [5 + 3 * turn, 6 + 3 * turn, 7 + 3 * turn]
            assert set(ann.names) == {"event"}
            await ann.cut()
        await no_connection(pair)


async def test_a_session_that_is_still_open_ends_and_goes_on(pair: Pair) -> None:
    ann = Client()
    async with ann.connected(pair.one):
        await happen(pair)
        await ann.until(1)
        old = ann.socket
        async with ann.connected(pair.two):
            assert (ann.recovered, ann.told) == (True, [])
            async with asyncio.timeout(10):
                packets = [packet async for packet in old]
            assert packets == ['42["closing",{"code":1000,"reason":"closed by the client"}]']
            await happen(pair)
            assert await ann.until(1) == [4]
            async with ann.connected(pair.two):
                assert (ann.recovered, ann.told) == (True, [])


async def test_what_was_written_to_a_dead_connection_is_sent_again(pair: Pair) -> None:
    """The gateway has not noticed that the client is gone. What it had read is not sent again."""
    ann = Client()
    async with ann.connected(pair.one):
        await happen(pair, 60)
        await ann.until(60)
        ann.offset = f"{CHANNEL}:40"
        async with ann.connected(pair.two):
            assert ann.recovered is True
            assert await ann.until(22) == list(range(41, 63))
            ann.offset = f"{CHANNEL}:50"  # in the midst of what the recovery has sent
            async with ann.connected(pair.one):
                assert ann.recovered is True
                assert await ann.until(12) == list(range(51, 63))


async def test_a_client_without_an_offset_goes_on_from_the_beginning_of_the_session(pair: Pair) -> None:
    ann = Client()
    async with ann.connected(pair.one):
        await happen(pair, 3)
        await ann.until(3)
        ann.offset = None
        async with ann.connected(pair.two):
            assert ann.recovered is True
            assert await ann.until(3) == [3, 4, 5]


async def test_an_offset_of_an_earlier_session_does_not_prevent_recovery(pair: Pair) -> None:
    """Stock clients keep the offset when they are given another `pid`."""
    ann = Client()
    async with ann.connected(pair.one):
        await happen(pair)
        await ann.until(1)
    ann.pid = f"{NO_GATEWAY}.{'0' * 32}"
    async with ann.connected(pair.one):
        assert (ann.recovered, ann.names) == (False, ["hello"])
        await ann.cut()
    await happen(pair)
    async with ann.connected(pair.two):
        assert (ann.recovered, await ann.until(1)) == (True, [4])


@pytest.mark.parametrize(
    "auth",
    [
        {"pid": f"{NO_GATEWAY}.{'0' * 32}"},
        {"pid": "127.0.0.1:6379"},
        {"pid": 1, "offset": {}},
        {"offset": f"{CHANNEL}:9"},
        {"offset": "x" * 1_000},
    ],
    ids=["no-gateway", "address", "types", "not-received", "long"],
)
async def test_what_is_not_known_is_not_recovered(pair: Pair, auth: dict[str, Any]) -> None:
    ann = Client()
    async with ann.connected(pair.one):
        await happen(pair)
        await ann.until(1)
        async with ann.connected(pair.two, **auth):
            assert (ann.recovered, ann.names) == (False, ["hello"])
            await happen(pair)
            assert await ann.until(1) == [4]


async def test_the_session_of_another_user_is_neither_recovered_nor_ended(pair: Pair) -> None:
    ann, bob = Client(), Client("bob")
    for house in (pair.one, pair.two):
        async with ann.connected(pair.one):
            bob.pid = ann.pid
            async with bob.connected(house):
                assert (bob.recovered, bob.names) == (False, ["hello"])
            await ann.settle()
            await ann.cut()
        bob.pid = ann.pid
        async with bob.connected(house):
            assert bob.recovered is False
        async with ann.connected(pair.two):
            assert ann.recovered is True
            await ann.cut()
        ann.pid = None


async def test_a_state_with_a_hole_is_not_recovered(pair: Pair) -> None:
    ann = Client()
    async with ann.connected(pair.one):
        await ann.cut()
    await happen(pair, 1_001)
    async with ann.connected(pair.one):
        assert (ann.recovered, ann.names[0]) == (False, "hello")
    async with ann.connected(pair.one):
        await happen(pair)
        await ann.until(1)
        await ann.cut()
    await delivered(pair)
    await no_connection(pair)
    del pair.one.store.logs[CHANNEL][-1]  # lost in a fail-over
    async with ann.connected(pair.two):
        assert (ann.recovered, ann.names[0]) == (False, "hello")


async def test_memberships_are_judged_anew(pair: Pair) -> None:
    store, ann = pair.one.store, Client()
    async with ann.connected(pair.one):
        await ann.socket.send('42["watch",{"users":["bob"]}]')
        await happen(pair)
        await ann.until(1)
        await ann.cut()
    await no_connection(pair)
    removed = store.append(CHANNEL, REMOVED, "ann")
    await store.publish(pair.one.bus, removed, store.append(OTHER, JOINED, "ann"))
    await happen(pair)
    async with ann.connected(pair.two):
        assert ann.recovered is True
        assert ann.names == ["left", "joined"]
        assert (ann.told[0][1], ann.told[1][1]["channel"]["id"]) == ({"channel": CHANNEL}, OTHER)
        assert ann.told[1][1]["channel"]["seq"] == 1
        [connection] = pair.two.gateway.registry.connections.values()
        assert connection.watched == {"bob"}
        await happen(pair, channel=OTHER)
        assert await ann.until(1) == [2]
        await ann.cut()
    await store.publish(pair.one.bus, store.append(CHANNEL, JOINED, "ann"))
    await happen(pair)
    async with ann.connected(pair.one):
        assert (ann.recovered, ann.names) == (True, ["joined"])
        await happen(pair)
        assert await ann.until(1) == [store.head(CHANNEL)]


async def test_changes_of_membership_that_a_dead_connection_was_told_are_told_again(pair: Pair) -> None:
    store, ann = pair.one.store, Client()
    async with ann.connected(pair.one):
        await happen(pair)
        await ann.until(1)
        offset = ann.offset
        await store.publish(pair.one.bus, store.append(OTHER, JOINED, "ann"), store.append(CHANNEL, REMOVED, "ann"))
        while ann.names[-1] != "left":
            await ann.settle()
        ann.offset = offset
        async with ann.connected(pair.two):
            assert ann.recovered is True
            assert ann.names == ["left", "joined"]


async def test_a_blocked_user_is_let_in_by_no_recovery(pair: Pair) -> None:
    ann = Client()
    async with ann.connected(pair.one):
        await ann.cut()
    await no_connection(pair)
    pair.one.store.void.add("ann")
    with pytest.raises(Refused, match="NOT_AUTHENTICATED"):
        async with ann.connected(pair.two):
            pass
    pair.one.store.void.clear()
    async with ann.connected(pair.two):
        assert ann.recovered is True


async def test_the_sessions_of_a_gateway_that_leaves_go_on(pair: Pair) -> None:
    """Also those of clients that come back to nothing but what it has left on the bus."""
    ann, bob = Client(), Client("bob")
    async with third(pair) as house, ann.connected(house), bob.connected(house):
        await happen(pair)
        await ann.until(1)
        await bob.until(1)
        await bob.cut()
    await happen(pair)
    for client in (ann, bob):
        async with client.connected(pair.two):
            assert (client.recovered, await client.until(1)) == (True, [4])
            await client.cut()
        async with client.connected(pair.one):  # by the note of the second: the first gateway of the session is gone
            assert (client.recovered, client.told) == (True, [])


async def test_an_answered_ping_confirms_what_was_received(pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.app.HEARTBEAT", Heartbeat(0.2, 20.0))
    ann = Client()
    async with third(pair) as house:
        for before, recovered in ((1, False), (0, True)):
            async with ann.connected(house):
                await happen(pair, 2)
                last = (await ann.until(2))[-1]
                while await ann.packet() != "2":
                    pass
                await ann.socket.send("3")
                await ann.settle()
                ann.offset = f"{CHANNEL}:{last - before}"
            async with ann.connected(house):
                assert ann.recovered is recovered


async def test_positions_apply_where_recovery_does_not(pair: Pair) -> None:
    ann = Client()
    await happen(pair, 3)
    positions = {CHANNEL: 2}
    async with ann.connected(pair.one, positions=positions, pid=f"{NO_GATEWAY}.{'0' * 32}"):
        assert await ann.until(3) == [3, 4, 5]
        assert ann.names == ["hello", "synced", *["event"] * 3]
        async with ann.connected(pair.two, positions=positions, hold=True):
            assert (ann.recovered, ann.told) == (True, [])
            await happen(pair)
            assert await ann.until(1) == [6]


@TRANSPORTS
async def test_a_stock_client_recovers_behind_a_proxy_without_stickiness(pair: Pair, transports: list[str]) -> None:
    async with stock(pair.url, transports=transports, forgetful=True, **by_header(pair.one)) as client:
        assert await client.told("connected") is False
        for number in range(6):
            await happen(pair)
            await until(lambda: bool(pair.sessions()))
            for session in pair.sessions().values():
                session.transport.abort()
            await happen(pair)
            assert await client.told("connected") is True, number
            while len(client.seqs) < 2 * (number + 1):
                await client.told("event")
        assert client.seqs == list(range(3, 15))

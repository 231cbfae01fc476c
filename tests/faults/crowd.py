"""The users of a run, in one tenant on one running stack, and the recorders of what readers receive.

`workload` says what the writers do, `library` and `tests.client` what the readers do, and `nemesis` injects the faults.
"""

import asyncio
import itertools
import random
import time
import uuid
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx

from hubbub.messages.v1.feed_service_pb2_grpc import FeedServiceStub
from hubbub.messages.v1.messages_pb2 import Caller
from hubbub.messages.v1.messages_service_pb2_grpc import MessagesServiceStub
from services.gateway.tests.socketio.pair import RoundRobin
from stack import Stack
from tests.client import Api, Follower, connect, login
from tests.client.follower import How
from tests.client.socket import Frame
from tests.faults import library
from tests.faults.blackhole import Blackhole
from tests.faults.feed_door import Product
from tests.faults.grpc_door import Door
from tests.faults.library import Delivered, Flows, Subscriber
from tests.faults.record import Entry, Reading, Record, Sight, Stretch
from tests.faults.stock_follower import NodeClient, PythonClient, StockFollower
from tests.faults.workload import Registrar, Writer

_CHANNELS = 3
_WRITERS = 6
_READERS = 3
_VISITORS = 2
_TOKEN_SECONDS = 86_400


class Notebook:
    """Records what one reader receives."""

    def __init__(self, reading: Reading) -> None:
        self.reading = reading
        self._open: dict[str, Stretch] = {}
        """The current stretch of each channel. It is kept after the flow ends, to record events that must not come then."""

    def begin(self, channel: str, start: int, how: How, epoch: str) -> None:
        """Record the start of the flow."""
        self._open[channel] = self.reading.begin(channel, start, how, epoch)

    def event(self, frame: Frame) -> None:
        """Record an event."""
        if frame["channel"] not in self._open:
            self.begin(frame["channel"], 0, "asked", "")
        self._open[frame["channel"]].sights.append(Sight(time.monotonic(), Entry.of(frame)))

    def end(self, channel: str) -> None:
        """Record nothing: the log shows it."""


@dataclass(slots=True)
class Reader:
    """One reader of a run, and what it received."""

    follower: Follower | Subscriber | StockFollower
    readings: list[Reading]
    """What came over the wire; of the Python client also what it delivered."""


@dataclass(slots=True)
class Crowd:
    """All users of a run, ready to begin."""

    owner: Api
    caller: Caller
    """The messages service over gRPC."""
    urls: list[str]
    """Addresses of all gateways."""
    messages: MessagesServiceStub
    """The gRPC client of another product."""
    channels: list[str]
    writers: list[Writer]
    registrars: list[Registrar]
    readers: list[Reader]
    balancer: RoundRobin
    """The proxy between the stock Socket.IO clients and the gateways."""
    product: Product
    """Follows the log of the tenant."""
    blackhole: Blackhole
    """The proxy between the last reader and its gateway."""
    record: Record
    stopping: asyncio.Event
    """Set when no user may begin anything new."""

    async def heads(self) -> dict[str, int]:
        """The head of every channel."""
        return {channel["id"]: channel["seq"] for channel in await self.owner.channels()}


@asynccontextmanager
async def gathered(stack: Stack, dice: random.Random) -> AsyncIterator[Crowd]:
    """Create the users and their channels in a new tenant."""
    urls = [gateway.url for gateway in stack.gateways]
    tenant = f"run-{uuid.uuid4().hex[:12]}"
    where = urlsplit(urls[0])
    hole = Blackhole(where.hostname or "", where.port or 0)
    async with (
        httpx.AsyncClient(limits=httpx.Limits(max_connections=50)) as http,
        stack.channel("messages") as line,
        stack.channel("feed") as feed_line,
        hole.listening(),
        RoundRobin(*(urlsplit(url).port or 0 for url in urls)).listening() as balancer,
    ):
        messages = MessagesServiceStub(line)

        async def people(role: str, count: int) -> list[Api]:
            names = [f"{role}-{number}" for number in range(count)]
            return [await login(http, urls[0], name, tenant=tenant, ttl=_TOKEN_SECONDS) for name in names]

        owner = (await people("owner", 1))[0]
        writers = await people("writer", _WRITERS)
        readers = await people("reader", _READERS)
        visitors = await people("visitor", _VISITORS)
        members = [person.user for person in (*writers, *readers, *visitors)]
        channels = [await owner.create("group", name=f"room {n}", members=members) for n in range(_CHANNELS)]
        record = Record(sync_events=await _sync_events(owner))
        stopping = asyncio.Event()

        def turns() -> list[str]:
            return library.turns(urls, dice.randrange(len(urls)))

        def door(person: Api) -> Door:
            return Door(messages, Caller(tenant=tenant, user=person.user))

        def seeded() -> random.Random:
            return random.Random(dice.random())

        yield Crowd(
            owner=owner,
            caller=Caller(tenant=tenant, user=owner.user),
            urls=urls,
            messages=messages,
            channels=channels,
            writers=[Writer(each, turns(), channels, record, seeded(), stopping, door(each)) for each in writers],
            registrars=[
                Registrar(owner, each, itertools.cycle(turns()), channels, record, seeded(), stopping) for each in visitors
            ],
            readers=[
                *(reader(number, each, urls, record) for number, each in enumerate((*readers, *visitors))),
                _follower(readers[0], [hole.url, urls[-1]], record),
                *_stock_followers(readers, visitors, f"http://127.0.0.1:{balancer.port}", record),
            ],
            balancer=balancer,
            product=Product(FeedServiceStub(feed_line), tenant, seeded(), record.feed),
            blackhole=hole,
            record=record,
            stopping=stopping,
        )


def reader(number: int, api: Api, urls: Sequence[str], record: Record) -> Reader:
    """Every other reader is the Python client; the others are clients that were written before there were epochs."""
    if number % 2:
        return _follower(api, urls, record, first=number % len(urls), names_epoch=False)
    wire, delivered = _reading(api, record, "reader"), _reading(api, record, "delivered to reader")
    return Reader(Subscriber(api, library.turns(urls, number), Flows(Notebook(wire)), Delivered(delivered)), [wire, delivered])


def _follower(api: Api, urls: Sequence[str], record: Record, **options: Any) -> Reader:
    reading = _reading(api, record, "reader")
    return Reader(Follower(api, urls, Notebook(reading), **options), [reading])


def _reading(api: Api, record: Record, what: str) -> Reading:
    reading = Reading(f"{api.user} ({what} {len(record.readings)})", api.user)
    record.readings.append(reading)
    return reading


def _stock_followers(readers: Sequence[Api], visitors: Sequence[Api], url: str, record: Record) -> Iterator[Reader]:
    """Two of socket.io-client, which keep nothing; one of python-socketio, which keeps positions.

    None of Node upgrades: one whose upgrade is cut may hang until its ping times out, after the end of a run.
    """
    for api, transports, kept in (
        (readers[0], ["polling"], False),
        (visitors[0], ["websocket"], False),
        (visitors[1], ["polling", "websocket"], True),
    ):
        reading = _reading(api, record, "Socket.IO reader")
        follower = StockFollower(api, Notebook(reading), keeps_positions=kept)
        if kept:
            follower.client = PythonClient(api, url, transports, follower.positions)
        else:
            follower.client = NodeClient(api, url, transports)
        yield Reader(follower, [reading])


async def _sync_events(api: Api) -> int:
    async with connect(api) as socket:
        return int(socket.hello["limits"]["sync_events"])

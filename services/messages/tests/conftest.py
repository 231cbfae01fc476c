"""Fixtures: the service, a worker, users and channels of a tenant, made for each test (`Town`).

Tests share one database, as tenants do. A test that reads or changes a whole database uses `own_town`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import psycopg
import pytest
import pytest_asyncio

from bus.bus import Bus, Delivery, Lost
from bus.gateway_leases import MemoryGatewayLeases
from bus.memory import MemoryBus
from bus.topics import Topic, commands, partition_of, rejected, replies, revocations
from bus.topics import events as event_topic
from chassis.errors import HubbubError, Unavailable
from chassis.migrate import migrate, migrations
from chassis.postgres import EVERY_TENANT, Database, open_database
from chassis.proto_enums import from_word
from chassis.reader_store import read_to
from hubbub.events.v1 import events_pb2 as events
from hubbub.messages.v1 import messages_pb2 as nouns
from hubbub.messages.v1 import messages_service_pb2 as rpc
from messages.commands.batch import handle
from messages.commands.judgement import PLANNER_SETTINGS
from messages.commands.model import Body, Command, Outcome, Stored
from messages.indexer import Indexer
from messages.message import ChannelId, CommandId, TenantId, UserId
from messages.publisher import Publisher
from messages.revocations import Revocations
from messages.search import indexed_by
from messages.service import MessagesService
from messages.store import search
from messages.worker import GROUP, Worker
from stack.postgres import SERVICE, Postgres

PARTITIONS = 4
GATEWAY = "gateway-0.1"


def memberships(session: rpc.Session) -> dict[str, tuple[int, int]]:
    """Head and floor of every channel of a session."""
    return {channel: (head, floor) for channel, head, floor, *_ in json.loads(session.memberships or b"[]")}


def listed(session: rpc.Session) -> list[Any]:
    """The channels of a session's `hello`."""
    found: list[Any] = json.loads(session.hello_channels or b"[]")
    return found


@dataclass
class Town:
    """One messages service with the helpers of its tests."""

    url: str
    database: Database
    bus: Bus
    service: MessagesService
    publisher: Publisher
    gateways: MemoryGatewayLeases
    """Their clock stands still: no lease expires."""
    tenant: str = field(default_factory=lambda: f"t-{uuid.uuid4().hex}")
    counter: int = 0
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    stored: list[Stored] = field(default_factory=list)

    def caller(self, user: str, *, tenant: str = "", admin: bool = False, issued: float = 0) -> nouns.Caller:
        return nouns.Caller(tenant=tenant or self.tenant, user=user, admin=admin, token_issued_at=issued)

    async def people(self, *users: str, tenant: str = "") -> None:
        sessions = [rpc.AdmitUserRequest(caller=self.caller(user, tenant=tenant)) for user in users]
        await self.service.OpenSessions(rpc.OpenSessionsRequest(sessions=sessions), None)

    async def channel(self, owner: str, *members: str, kind: str = "group", history: str = "all") -> str:
        await self.people(owner, *members)
        request = rpc.CreateChannelRequest(
            caller=self.caller(owner),
            kind=from_word(nouns.ChannelKind, kind),
            name="" if kind == "direct" else "room",
            members=members,
            history=from_word(nouns.History, history),
        )
        return (await self.service.CreateChannel(request, None)).channel.id

    def command(self, channel: str, user: str, body: Body, *, key: str = "") -> Command:
        self.counter += 1
        key = key or uuid.uuid4().hex
        return Command(
            TenantId(self.tenant), ChannelId(channel), UserId(user), key, CommandId(f"c.{self.counter}"), GATEWAY, body
        )

    async def do(self, *commands: Command) -> list[Outcome]:
        stored = await handle(self.database, commands)
        self.stored.append(stored)
        return stored.outcomes

    @contextlib.asynccontextmanager
    async def working(self, publisher: Publisher | None = None) -> AsyncIterator[None]:
        """Run a worker inside the block."""
        topics = [commands(number) for number in range(PARTITIONS)]
        async with self.bus.work(topics, GROUP, "worker") as work, asyncio.TaskGroup() as tasks:
            tasks.create_task(Worker(self.database, publisher or self.publisher, self.stopping).run(work))
            yield
            self.stopping.set()
        self.stopping.clear()

    @contextlib.asynccontextmanager
    async def indexing(self) -> AsyncIterator[None]:
        """Keep the search index up to date inside the block. It is when the block begins."""
        stopping = asyncio.Event()
        indexer = Indexer(self.database, self.bus, PARTITIONS, uuid.uuid4().hex)
        async with asyncio.TaskGroup() as tasks:
            began = time.time()
            tasks.create_task(indexer.run(stopping))
            await until(lambda: self._is_indexed(began))
            try:
                yield
            finally:
                stopping.set()

    async def _is_indexed(self, to: float) -> bool:
        """Whether the index that serves has everything up to this time."""
        async with self.database.connection(EVERY_TENANT) as connection:
            found = await read_to(connection, indexed_by(await search.serving(connection)), PARTITIONS)
        return found is not None and found.timestamp() >= to

    async def find(self, user: str, query: str, **more: Any) -> list[str]:
        """The texts of the messages that a user finds."""
        request = rpc.SearchMessagesRequest(caller=self.caller(user), query=query, **more)
        return [message.text for message in (await self.service.SearchMessages(request, None)).messages]

    def event_topics(self) -> list[Topic]:
        return [event_topic(number) for number in range(PARTITIONS)]

    def gateway_topics(self) -> list[Topic]:
        return [replies(GATEWAY), revocations(), rejected()]

    async def send(self, *wanted: events.Command) -> None:
        """Put commands on the bus as a gateway does, one entry for each."""
        batch = [
            (commands(partition_of(each.channel, PARTITIONS)), events.CommandBatch(commands=[each]).SerializeToString())
            for each in wanted
        ]
        await self.bus.publish(batch)

    def bus_command(self, channel: str, user: str, text: str = "hello", **other: Any) -> events.Command:
        """A command as a gateway publishes it, by default a post."""
        self.counter += 1
        fields: dict[str, Any] = {
            "tenant": self.tenant,
            "channel": channel,
            "actor": user,
            "key": uuid.uuid4().hex,
            "id": f"c.{self.counter}",
            "gateway": GATEWAY,
        }
        if not other.keys() & {"edit", "delete", "react", "pin", "read"}:
            fields["post"] = events.PostMessage(text=text)
        return events.Command(**(fields | other))

    async def log(self, channel: str, after: int = 0) -> list[events.Event]:
        request = rpc.FetchEventsRequest(tenant=self.tenant, channel=channel, after=after)
        return list((await self.service.FetchEvents(request, None)).events)

    async def post(self, channel: str, user: str, text: str = "hello", key: str = "") -> rpc.PostMessageResponse:
        request = rpc.PostMessageRequest(
            caller=self.caller(user), channel=channel, key=key, message=events.PostMessage(text=text)
        )
        return await self.service.PostMessage(request, None)


class Listener:
    """Receives what a gateway receives from the bus."""

    def __init__(self, feed: AsyncIterator[Delivery | Lost]) -> None:
        self._feed = feed
        self.events: list[events.Event] = []
        self.receipts: list[events.Receipt] = []
        self.changes: list[events.Event] = []
        self.heads: list[events.ChannelHead] = []
        self.replies: dict[str, events.Reply] = {}
        self.revocations: list[events.Revocation] = []
        self.rejected: list[bytes] = []

    async def until(self, enough: Callable[[Listener], bool]) -> None:
        """Listen until `enough` is true."""
        async with asyncio.timeout(30):
            while not enough(self):
                delivery = await anext(self._feed)
                assert isinstance(delivery, Delivery)
                for entry in delivery.entries:
                    self._take(delivery.topic, entry.payload)

    def _take(self, topic: str, payload: bytes) -> None:
        if topic.startswith("events."):
            batch = events.EventBatch.FromString(payload)
            self.events += batch.events
            self.receipts += batch.receipts
            self.changes += batch.changes
            self.heads += batch.heads
        elif topic.startswith("replies."):
            self.replies |= {reply.command: reply for reply in events.ReplyBatch.FromString(payload).replies}
        elif topic == "revocations":
            self.revocations += events.RevocationBatch.FromString(payload).users
        else:
            self.rejected.append(payload)


@pytest_asyncio.fixture
async def listener(town: Town) -> AsyncIterator[Listener]:
    async with town.bus.follow([*town.event_topics(), *town.gateway_topics()]) as feed:
        yield Listener(feed)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shared_url(postgres_server: Postgres) -> str:
    """Return the URL of the database that tests share."""
    url = await postgres_server.create_database("test_messages", owner="test")
    await migrate(url, migrations("messages"))
    return url


@contextlib.asynccontextmanager
async def opened_town(url: str, service_url: str = "", bus: Bus | None = None) -> AsyncIterator[Town]:
    """Open the service with its own role, which `service_url` names. Tests look at every tenant as the owner, at `url`."""
    bus, gateways = bus or MemoryBus(), MemoryGatewayLeases(lambda: 0.0)
    async with open_database(
        service_url or url, sweeper_url=url, connections=8, pipelines=8, pipeline_settings=PLANNER_SETTINGS, name="tests"
    ) as database:
        publisher = Publisher(bus, PARTITIONS)
        service = MessagesService(database, publisher, Revocations(publisher, gateways))
        yield Town(url, database, bus, service, publisher, gateways)


@pytest_asyncio.fixture
async def town(shared_url: str, postgres_server: Postgres) -> AsyncIterator[Town]:
    async with opened_town(shared_url, await service_url(postgres_server, shared_url)) as town:
        yield town


@pytest_asyncio.fixture
async def own_town(database: str, postgres_server: Postgres) -> AsyncIterator[Town]:
    """Return a town with a database of its own."""
    await migrate(database, migrations("messages"))
    async with opened_town(database, await service_url(postgres_server, database)) as town:
        yield town


async def service_url(server: Postgres, owner_url: str) -> str:
    """Return the URL of the same database for the role of a service, whose sessions the owner may observe and end."""
    name = owner_url.rpartition("/")[2]
    url = await server.ensure_login(name, "test_service", SERVICE)
    async with await psycopg.AsyncConnection.connect(server.url(name, "postgres"), autocommit=True) as admin:
        await admin.execute("GRANT test_service TO test")
    return url


async def results(town: Town, *batch: Command) -> list[tuple[str, int]]:
    """Carry out a batch; returns verdict or reason, and number, of every command except reads."""
    return [result(outcome) for outcome in await town.do(*batch)]


def result(outcome: Outcome) -> tuple[str, int]:
    return (outcome.error.reason if outcome.error else str(outcome.verdict)), outcome.seq


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    """Poll a condition that only the database shows."""
    async with asyncio.timeout(60):
        while not await holds():
            pass


async def until_a_lock_is_awaited(town: Town) -> None:
    """Poll the server's activity: only it shows that a transaction waits for a lock."""
    query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    async with asyncio.timeout(3), town.database.connection(EVERY_TENANT) as connection:
        while await (await connection.execute(query)).fetchone() == (0,):
            pass


async def refused(call: Awaitable[object], error: type[HubbubError]) -> HubbubError:
    """Await a call that must be refused with exactly this error; returns it."""
    with pytest.raises(error) as caught:
        await call
    assert type(caught.value) is error
    return caught.value


@contextlib.contextmanager
def denied() -> Iterator[None]:
    """Expect that the database denies a right; at the end of a block of `Database` that is `Unavailable`."""
    with pytest.raises((psycopg.errors.InsufficientPrivilege, Unavailable)) as caught:
        yield
    error = caught.value.__cause__ if isinstance(caught.value, Unavailable) else caught.value
    assert isinstance(error, psycopg.errors.InsufficientPrivilege)

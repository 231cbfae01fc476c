"""What a batch of messages costs the bus and PostgreSQL, in counts: a regression fails here on any machine, however busy."""

import tempfile
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest
from prometheus_client import REGISTRY

from bench.tests.counting import instructions
from bus.bus import Delivery, Entry
from bus.gateway_leases import MemoryGatewayLeases
from bus.memory import MemoryBus
from bus.topics import commands, events
from chassis.migrate import migrate, migrations
from chassis.pipeline import Statement
from chassis.postgres import Database, open_database
from gateway.inbound.pending import Pending
from gateway.inbound.publish import Publisher as CommandPublisher
from gateway.outbound.outbox import Outbox
from hubbub.events.v1 import events_pb2
from hubbub.messages.v1 import messages_pb2, messages_service_pb2
from messages.commands import Command, Post
from messages.handlers import handle
from messages.heads import Heads
from messages.message import ChannelId, CommandId, TenantId, UserId
from messages.publisher import Publisher as EventPublisher
from messages.queries import commands as queries
from messages.revocations import Revocations
from messages.service import MessagesService
from messages.worker import decode

PARTITIONS = 4
TENANT = "guard"
STATEMENTS = 1
"""The posts; the tenants only when they are others than the connection's last ones."""
SYNCS = 1
"""A batch is one round trip."""
FLUSH = Statement("SELECT pg_stat_force_next_flush()")
FETCHED = Statement("SELECT sum(idx_tup_fetch)::int FROM pg_stat_user_tables")
NODES = {queries.POST: 39, queries.POSTS: 56, queries.NUMBERED: 27}
"""Of the plan that PostgreSQL sets up each time: most of what a small batch costs it."""
INSTRUCTIONS = 425
"""Of a post, in the worker, storing it aside. Measured 405."""


async def test_the_commands_of_a_tick_are_one_bus_entry_per_partition() -> None:
    bus = MemoryBus()
    publisher = CommandPublisher(bus, PARTITIONS, Pending(Outbox(lambda _connection: None), {}))
    for number in range(200):
        publisher.add(events_pb2.Command(channel=f"channel-{number % 40}", id=str(number)))
    await publisher._publish(publisher._take())  # noqa: SLF001 - one turn of `run`, which never ends
    assert sum(len(bus.log(commands(partition).name).entries) for partition in range(PARTITIONS)) == PARTITIONS


@dataclass
class Town:
    """A database with a channel, one pipeline to it, and a bus."""

    database: Database
    bus: MemoryBus
    channel: ChannelId

    def posts(self, count: int) -> list[Command]:
        """Make commands of the channel's owner."""
        return [
            Command(
                TenantId(TENANT),
                self.channel,
                UserId("owner"),
                str(uuid.uuid4()),
                CommandId(str(uuid.uuid4())),
                "g",
                Post("hello"),
            )
            for _ in range(count)
        ]


@asynccontextmanager
async def _town(url: str) -> AsyncIterator[Town]:
    await migrate(url, migrations("messages"))
    bus = MemoryBus()
    async with open_database(url, connections=1, pipelines=1, name="guard") as database:
        publisher = EventPublisher(bus, PARTITIONS)
        service = MessagesService(database, publisher, Revocations(publisher, MemoryGatewayLeases()))
        caller = messages_pb2.Caller(tenant=TENANT, user="owner")
        sessions = [messages_service_pb2.AdmitUserRequest(caller=caller)]
        await service.OpenSessions(messages_service_pb2.OpenSessionsRequest(sessions=sessions), None)
        made = await service.CreateChannel(
            messages_service_pb2.CreateChannelRequest(caller=caller, kind="group", name="room"), None
        )
        yield Town(database, bus, ChannelId(made.channel.id))


@pytest.mark.parametrize("count", [1, 100, 500])
@pytest.mark.parametrize("known", [False, True])
async def test_a_batch_of_posts_is_one_round_trip_of_few_statements(database: str, count: int, known: bool) -> None:
    async with _town(database) as town:
        heads = await _learnt(town)  # prepares what is prepared once
        with tempfile.TemporaryFile("w+") as file:
            (pipeline,) = town.database._pipelines._places  # noqa: SLF001 - the only one
            assert pipeline
            pipeline._pgconn.trace(file.fileno())  # noqa: SLF001 - libpq's own word for what it sends
            stored = await handle(town.database, town.posts(count), heads=heads if known else Heads())
            pipeline._pgconn.untrace()  # noqa: SLF001 - as above
            file.seek(0)
            sent = [line.split("\t")[3].strip() for line in file if line.split("\t")[1:2] == ["F"]]
    assert len(stored.entries) == count
    assert (heads[town.channel].seq == stored.entries[-1].seq) is known  # else it was not the way that is meant
    assert sent.count("Execute") == STATEMENTS
    assert 1 <= sent.count("Sync") <= SYNCS


async def _learnt(town: Town) -> Heads:
    """What a worker remembers that has posted often enough to number the next post itself, and has done so once."""
    heads = Heads()
    for _ in range(3):
        await handle(town.database, town.posts(2), heads=heads)
    return heads


@pytest.mark.parametrize("statement", NODES)
async def test_posts_take_a_plan_of_few_nodes(database: str, statement: str) -> None:
    async with _town(database) as town, town.database.connection([TENANT]) as connection:
        explain = b"EXPLAIN (GENERIC_PLAN, FORMAT JSON) " + Statement(statement).text
        row: Any = await (await connection.execute(explain, prepare=False)).fetchone()
    assert _nodes(row[0][0]["Plan"]) <= NODES[statement]


def _nodes(plan: Any) -> int:
    return 1 + sum(_nodes(child) for child in plan.get("Plans", []))


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("together", [1, 50])
async def test_posts_read_as_little_in_a_long_log_as_in_a_short_one(database: str, together: int, known: bool) -> None:
    async with _town(database) as town:  # the first plan, which stays, is made of empty tables
        heads, numbered = await _learnt(town) if known else None, _numbered()
        few = await _rows_read(town, 50, together, heads)
        for _ in range(4):
            await handle(town.database, town.posts(500), heads=heads)
        assert await _rows_read(town, 50, together, heads) == few
        assert _numbered() - numbered == (2_100 if known else 0)


def _numbered() -> float:
    """How many posts were numbered from what a worker remembered."""
    return REGISTRY.get_sample_value("hubbub_numbered_posts_total") or 0


async def _rows_read(town: Town, count: int, together: int, heads: Heads | None) -> int:
    """How many rows indexes lead to while posts are stored, so many in a batch."""
    before = await _fetched(town)
    for _ in range(count // together):
        await handle(town.database, town.posts(together), heads=heads)
    return await _fetched(town) - before


async def _fetched(town: Town) -> int:
    await town.database.pipeline([TENANT], [FLUSH.query({})])  # the only one, so its counts are all
    (((fetched,),),) = await town.database.pipeline([TENANT], [FETCHED.query({})])
    assert isinstance(fetched, int)
    return fetched


async def test_a_post_takes_the_worker_few_instructions(database: str) -> None:
    async with _town(database) as town:
        few, many = [await _instructions(town, count) for count in (100, 300)]
    assert (many - few) / 200 <= INSTRUCTIONS


async def _instructions(town: Town, count: int) -> int:
    """How many it takes to read posts from the bus and to put what came of them there; storing them is counted elsewhere."""
    wishes = [
        events_pb2.Command(
            tenant=command.tenant,
            channel=command.channel,
            actor=command.actor,
            key=command.key,
            id=command.id,
            gateway="g",
            post=events_pb2.PostMessage(text="hello"),
        )
        for command in town.posts(count)
    ]
    delivery = Delivery("commands.0", [Entry("0", events_pb2.CommandBatch(commands=wishes).SerializeToString())])
    stored = await handle(town.database, decode(delivery).commands)
    publisher = EventPublisher(town.bus, PARTITIONS)

    async def work() -> None:
        decode(delivery)
        await publisher.publish_stored(stored)

    return await instructions(work)


async def test_the_events_of_a_batch_share_a_bus_entry(database: str) -> None:
    async with _town(database) as town:
        stored = await handle(town.database, town.posts(100))
        before = _entries(town.bus)
        await EventPublisher(town.bus, PARTITIONS).publish_stored(stored)
        assert _entries(town.bus) - before == 1


def _entries(bus: MemoryBus) -> int:
    return sum(len(bus.log(events(partition).name).entries) for partition in range(PARTITIONS))

"""What a batch of messages costs the bus and PostgreSQL, in counts: a regression fails here on any machine, however busy."""

import tempfile
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from bench.tests.counting import instructions
from bus.bus import Delivery, Entry
from bus.gateway_leases import MemoryGatewayLeases
from bus.memory import MemoryBus
from bus.topics import commands, events
from chassis.migrate import migrate, migrations
from chassis.pipeline import Statement
from chassis.postgres import Database, open_database
from gateway.commands.pending import Pending
from gateway.commands.publisher import CommandPublisher
from gateway.wire.writer import Writer
from hubbub.events.v1 import events_pb2
from hubbub.messages.v1 import messages_pb2, messages_service_pb2
from messages.commands.batch import handle
from messages.commands.judgement import PLANNER_SETTINGS
from messages.commands.model import Command, Post
from messages.message import ChannelId, CommandId, TenantId, UserId
from messages.publisher import Publisher as EventPublisher
from messages.revocations import Revocations
from messages.service import MessagesService
from messages.worker import decode

PARTITIONS = 4
TENANT = "guard"
STATEMENTS = 2
"""The locks and the posts; the tenants only when they differ from the connection's last ones."""
SYNCS = 1
"""A batch is one round trip."""
FLUSH = Statement("SELECT pg_stat_force_next_flush()")
FETCHED = Statement("SELECT sum(idx_tup_fetch)::int FROM pg_stat_user_tables")
USED = Statement("SELECT indexrelname::text FROM pg_stat_user_indexes WHERE idx_scan > 0")
INSTRUCTIONS = 600
"""Of a post, in the worker, storing it aside. Measured 405."""


async def test_the_commands_of_a_tick_are_one_bus_entry_per_partition() -> None:
    bus = MemoryBus()
    publisher = CommandPublisher(bus, PARTITIONS, Pending(Writer(lambda _connection, _reason: None), {}))
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
    async with open_database(url, connections=1, pipelines=1, pipeline_settings=PLANNER_SETTINGS, name="guard") as database:
        publisher = EventPublisher(bus, PARTITIONS)
        service = MessagesService(database, publisher, Revocations(publisher, MemoryGatewayLeases()))
        caller = messages_pb2.Caller(tenant=TENANT, user="owner")
        sessions = [messages_service_pb2.AdmitUserRequest(caller=caller)]
        await service.OpenSessions(messages_service_pb2.OpenSessionsRequest(sessions=sessions), None)
        made = await service.CreateChannel(
            messages_service_pb2.CreateChannelRequest(caller=caller, kind=messages_pb2.CHANNEL_KIND_GROUP, name="room"), None
        )
        yield Town(database, bus, ChannelId(made.channel.id))


@pytest.mark.parametrize("count", [1, 100, 500])
async def test_a_batch_of_posts_is_one_round_trip_of_few_statements(database: str, count: int) -> None:
    async with _town(database) as town:
        await handle(town.database, town.posts(2))  # prepares the statements
        with tempfile.TemporaryFile("w+") as file:
            (pipeline,) = town.database._pipelines._places  # noqa: SLF001 - the only one
            assert pipeline
            pipeline._pgconn.trace(file.fileno())  # noqa: SLF001 - libpq's own record of what it sends
            stored = await handle(town.database, town.posts(count))
            pipeline._pgconn.untrace()  # noqa: SLF001 - as above
            file.seek(0)
            sent = [line.split("\t")[3].strip() for line in file if line.split("\t")[1:2] == ["F"]]
    assert len(stored.entries) == count
    assert sent.count("Execute") == STATEMENTS
    assert 1 <= sent.count("Sync") <= SYNCS


@pytest.mark.parametrize("together", [1, 50])
async def test_posts_read_as_little_in_a_long_log_as_in_a_short_one(database: str, together: int) -> None:
    async with _town(database) as town:  # the plans, which stay, are made of empty tables
        few = await _rows_read(town, 50, together)
        for _ in range(4):
            await handle(town.database, town.posts(500))
        assert await _rows_read(town, 50, together) == few


async def test_posts_find_their_author_by_the_primary_key_though_there_are_no_statistics(database: str) -> None:
    async with _town(database) as town:
        await handle(town.database, town.posts(1))
        await town.database.pipeline([TENANT], [FLUSH.query({})])
        (found,) = await town.database.pipeline([TENANT], [USED.query({})])
    used = {index for (index,) in found}
    assert "members_pkey" in used
    assert "members_by_name" not in used  # it would read all members of the channel


async def _rows_read(town: Town, count: int, together: int) -> int:
    """How many rows indexes lead to while posts are stored, so many in a batch."""
    before = await _fetched(town)
    for _ in range(count // together):
        await handle(town.database, town.posts(together))
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

"""The durable reader on PostgreSQL, over every bus: each event of every log takes effect once and in order, whatever breaks."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import psycopg
import pytest
import pytest_asyncio
import redis.asyncio
from prometheus_client import REGISTRY

from bus import redis_keys
from bus.bus import Bus
from bus.memory import MemoryBus
from bus.reader import Batch, ReaderOptions, open_reader
from bus.redis_streams import RedisBus
from bus.topics import events as event_topic
from bus.topics import partition_of
from chassis.migrate import migrate, migrations
from chassis.postgres import EVERY_TENANT, Connection
from chassis.reader_store import OvertakenError, ReaderStore, read_to
from hubbub.events.v1.events_pb2 import Event, EventBatch
from messages.commands.model import Post
from messages.reader_log import ReaderLog
from services.messages.tests.conftest import PARTITIONS, Town, opened_town, service_url
from stack.postgres import Postgres

LEASE_SECONDS = 1.0
EFFECTS = "CREATE TABLE effects (n bigint GENERATED ALWAYS AS IDENTITY, channel uuid, seq bigint, UNIQUE (channel, seq))"


class World:
    """A town on a bus that can be trimmed and wiped, and the effects of the reader `test`."""

    def __init__(self, town: Town, buses: Callable[[], Bus], valkey_url: str) -> None:
        self.town = town
        self.connect = buses
        """Opens the bus as another process would."""
        self._valkey_url = valkey_url
        self.store = ReaderStore(town.database, "test")

    async def trim(self) -> None:
        """Remove everything from the topics of events, as their bounds do."""
        for topic in self.town.event_topics():
            if isinstance(self.town.bus, MemoryBus):
                self.town.bus.trim(topic, 0)
            else:
                async with redis.asyncio.from_url(self._valkey_url) as admin:
                    await admin.xtrim(redis_keys.stream(topic.name), maxlen=0, approximate=False)

    async def wipe(self) -> None:
        """Delete everything from the bus."""
        if isinstance(self.town.bus, MemoryBus):
            self.town.bus.wipe()
        else:
            async with redis.asyncio.from_url(self._valkey_url) as admin:
                await admin.flushall()

    async def post(self, channel: str, count: int = 1) -> None:
        """Post messages that reach the bus."""
        for _ in range(count):
            await self.town.post(channel, "ann")

    async def post_unpublished(self, channel: str, count: int = 1) -> None:
        """Post messages that the bus never carries, as if their process had died after its commit."""
        await self.town.do(*(self.town.command(channel, "ann", Post("x")) for _ in range(count)))

    @contextlib.asynccontextmanager
    async def reading(self, consumer: str = "one", bus: Bus | None = None) -> AsyncIterator[AsyncIterator[Batch]]:
        options = ReaderOptions("test", "test", consumer, PARTITIONS)
        log = ReaderLog(self.town.database)
        async with open_reader(bus or self.town.bus, log, self.store, options, asyncio.Event()) as batches:
            yield batches

    async def apply(self, connection: Connection, batch: Batch) -> None:
        """Store the effects of a batch and its positions."""
        for event in batch.events:
            await connection.execute("INSERT INTO effects (channel, seq) VALUES (%s, %s)", [event.channel, event.seq])
        await self.store.advance(connection, batch.channels, batch.cursors)

    async def commit(self, batch: Batch) -> None:
        async with self.town.database.transaction(EVERY_TENANT) as connection:
            await self.apply(connection, batch)

    async def effects(self) -> dict[str, list[int]]:
        """The numbers of each channel, in the order of their effects."""
        async with self.town.database.connection(EVERY_TENANT) as connection:
            rows: Any = await (await connection.execute("SELECT channel, seq FROM effects ORDER BY n")).fetchall()
        found: dict[str, list[int]] = {}
        for channel, seq in rows:
            found.setdefault(channel, []).append(seq)
        return found

    async def is_complete(self) -> bool:
        """Whether every entry of every log has taken effect, each channel's in order."""
        async with self.town.database.connection(EVERY_TENANT) as connection:
            rows: Any = await (await connection.execute("SELECT id, head FROM channels")).fetchall()
        effects = await self.effects()
        assert all(seqs == list(range(1, len(seqs) + 1)) for seqs in effects.values()), effects
        return {channel: list(range(1, head + 1)) for channel, head in rows if head} == effects

    async def read(self, *, until: Callable[[], bool] = lambda: True) -> None:
        """Read as a new instance until every log has taken effect."""
        async with asyncio.timeout(30), self.reading() as batches:
            async for batch in batches:
                await self.commit(batch)
                if until() and batch.cursors and await self.is_complete() and await self.is_current():
                    return

    async def is_current(self) -> bool:
        """Whether a cursor of each topic is stored."""
        async with self.town.database.connection(EVERY_TENANT) as connection:
            return await read_to(connection, "test", PARTITIONS) is not None


@pytest.fixture(params=["memory", "valkey"])
def bus_url(request: pytest.FixtureRequest) -> str:
    """The URL of an empty Valkey, or nothing for the bus in memory."""
    return str(request.getfixturevalue("valkey_url")) if request.param == "valkey" else ""


@pytest_asyncio.fixture
async def world(bus_url: str, database: str, postgres_server: Postgres) -> AsyncIterator[World]:
    await migrate(database, migrations("messages"))
    async with await psycopg.AsyncConnection.connect(database, autocommit=True) as owner:
        await owner.execute(EFFECTS)
    with contextlib.ExitStack() as stack:
        memory = MemoryBus()

        def connect() -> Bus:
            if not bus_url:
                return memory
            return stack.enter_context(contextlib.closing(RedisBus(bus_url, lease_seconds=LEASE_SECONDS)))

        async with opened_town(database, await service_url(postgres_server, database), connect()) as town:
            yield World(town, connect, bus_url)


@contextlib.contextmanager
def counting(name: str, **labels: str) -> Iterator[Callable[[], float]]:
    """Count by how much a metric has grown in the block."""
    before = REGISTRY.get_sample_value(name, labels) or 0.0
    yield lambda: (REGISTRY.get_sample_value(name, labels) or 0.0) - before


async def test_a_new_reader_reads_every_log_from_its_beginning_and_then_lives(world: World) -> None:
    rooms = [await world.town.channel("ann", "bob") for _ in range(3)]
    for room in rooms:
        await world.post(room, 5)
    async with asyncio.timeout(30), world.reading() as batches:
        live = False
        async for batch in batches:
            await world.commit(batch)
            if await world.is_complete() and await world.is_current():
                if live:
                    break
                live = True
                await world.post(rooms[0], 3)
    assert await world.is_complete()


async def test_a_restarted_reader_reads_from_the_bus_what_it_has_not_stored_and_nothing_else(world: World) -> None:
    room = await world.town.channel("ann")
    await world.read()
    await world.post(room, 7)
    with (
        counting("hubbub_reader_events_total", reader="test", source="bus") as live,
        counting("hubbub_reader_events_total", reader="test", source="log") as missing,
    ):
        await world.read()
        assert (live(), missing()) == (7, 0)


async def test_an_effect_that_was_not_committed_takes_place_once(world: World) -> None:
    room = await world.town.channel("ann")
    await world.read()
    await world.post(room, 3)

    async def die_before_the_commit() -> None:
        async with asyncio.timeout(30), world.reading() as batches:
            async for batch in batches:
                async with world.town.database.transaction(EVERY_TENANT) as connection:
                    await world.apply(connection, batch)
                    if batch.events:
                        raise ConnectionResetError

    with pytest.raises(ConnectionResetError):
        await die_before_the_commit()
    assert not await world.is_complete()
    await world.read()


@pytest.mark.parametrize("fault", ["trim", "wipe"])
@pytest.mark.parametrize("away", [True, False], ids=["away", "reading"])
async def test_what_the_bus_forgot_comes_from_the_log(world: World, fault: str, away: bool) -> None:
    rooms = [await world.town.channel("ann") for _ in range(4)]
    await world.read()

    async def forget() -> None:
        for room in rooms:
            await world.post(room, 20)
        await getattr(world, fault)()

    if away:
        await forget()
        await world.read()
    else:
        async with asyncio.timeout(30), world.reading() as batches:
            await world.commit(await anext(batches))
            await forget()
            async for batch in batches:
                await world.commit(batch)
                if await world.is_complete():
                    break


async def test_a_gap_in_a_channel_is_read_from_the_log(world: World) -> None:
    room = await world.town.channel("ann")
    await world.read()
    await world.post_unpublished(room, 600)
    await world.post(room)
    await world.read()
    assert len((await world.effects())[room]) > 600


async def test_an_unreadable_entry_of_the_bus_is_read_from_the_log(world: World) -> None:
    room = await world.town.channel("ann")
    await world.read()
    await world.post_unpublished(room)
    await world.town.bus.publish([(event_topic(partition_of(room, PARTITIONS)), b"\xff\xff")])
    await world.post(room)
    await world.read()


async def test_entries_that_the_log_does_not_keep_any_more_are_passed_over(world: World) -> None:
    room = await world.town.channel("ann")
    await world.post(room, 5)
    async with world.town.database.transaction(EVERY_TENANT) as connection:
        await connection.execute("DELETE FROM entries WHERE channel = %s AND seq <= 3", [room])
        head: Any = await (await connection.execute("SELECT head FROM channels WHERE id = %s", [room])).fetchone()
    async with asyncio.timeout(30), world.reading() as batches:
        async for batch in batches:
            await world.commit(batch)
            if batch.cursors:
                break
    await world.post(room)
    async with asyncio.timeout(30), world.reading() as batches:
        async for batch in batches:
            await world.commit(batch)
            if room in batch.channels:
                break
    assert (await world.effects())[room] == list(range(4, head[0] + 2))


async def test_an_event_of_an_epoch_that_has_ended_is_replaced_by_the_one_in_the_log(world: World) -> None:
    room = await world.town.channel("ann")
    await world.read()
    lost = Event(tenant=world.town.tenant, channel=room, seq=(await world.effects())[room][-1] + 1, payload=b"lost")
    batch = EventBatch(events=[lost], epoch="00000000-0000-7000-8000-000000000000-00000001")
    await world.town.bus.publish([(event_topic(partition_of(room, PARTITIONS)), batch.SerializeToString())])
    seen: list[bytes] = []
    async with asyncio.timeout(30), world.reading() as batches:
        await world.post(room)
        async for each in batches:
            await world.commit(each)
            seen += [event.payload for event in each.events]
            if await world.is_complete():
                break
    assert len(seen) == 1
    assert seen != [b"lost"]


async def test_the_cursor_of_a_topic_is_not_stored_while_one_of_its_channels_is_behind(world: World) -> None:
    room = await world.town.channel("ann")
    await world.read()
    await world.post_unpublished(room, 5)
    await world.post(room)
    topic = event_topic(partition_of(room, PARTITIONS)).name
    async with asyncio.timeout(30), world.reading() as batches:
        async for batch in batches:
            await world.commit(batch)
            complete = await world.is_complete()
            assert complete or topic not in batch.cursors
            if complete:
                break


async def test_live_events_of_other_channels_do_not_wait_for_a_long_catch_up(world: World) -> None:
    long, other = await world.town.channel("ann"), await world.town.channel("ann")
    await world.read()
    await world.post_unpublished(long, 3_000)
    await world.post(long)
    await world.post(other)
    async with asyncio.timeout(30), world.reading() as batches:
        async for batch in batches:
            await world.commit(batch)
            if other in batch.channels:
                break
    assert len((await world.effects())[long]) < 3_000
    await world.read()


async def test_two_instances_share_the_work_and_one_takes_over_from_a_dead_one(world: World) -> None:
    rooms = [await world.town.channel("ann") for _ in range(8)]
    await world.read()

    async def run(consumer: str) -> None:
        """Consume like a process, which starts again after a failure."""
        while True:
            with contextlib.suppress(OvertakenError):
                async with world.reading(consumer, world.connect()) as batches:
                    async for batch in batches:
                        await world.commit(batch)

    async with asyncio.timeout(60):
        instances = [asyncio.create_task(run(consumer)) for consumer in ("one", "two")]
        for n in range(6):
            for room in rooms:
                await world.post(room, 2)
            if n == 3:
                instances.pop().cancel()
        while not await world.is_complete():
            pass
        instances[0].cancel()


async def test_the_second_of_two_commits_of_the_same_events_is_refused(world: World) -> None:
    room = await world.town.channel("ann")
    await world.read()
    await world.post(room)
    async with asyncio.timeout(30), world.reading() as batches:
        batch = await anext(batches)
        while not batch.events:
            batch = await anext(batches)
    await world.commit(batch)
    with pytest.raises(OvertakenError):
        async with world.town.database.transaction(EVERY_TENANT) as connection:
            await world.store.advance(connection, batch.channels, batch.cursors)
    assert await world.is_complete()


async def test_the_lag_shows_missing_events_and_ends_when_they_are_read(world: World) -> None:
    room = await world.town.channel("ann")
    await world.read()
    await world.post_unpublished(room, 1_200)
    await world.post(room)
    seen = 0.0
    async with asyncio.timeout(30), world.reading() as batches:
        async for batch in batches:
            await world.commit(batch)
            seen = max(seen, REGISTRY.get_sample_value("hubbub_reader_lag_events", {"reader": "test"}) or 0.0)
            if batch.cursors and await world.is_complete():
                break
    assert seen >= 1_200
    await world.read()
    assert REGISTRY.get_sample_value("hubbub_reader_lag_events", {"reader": "test"}) == 0

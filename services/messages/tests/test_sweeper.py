"""The sweeper."""

from __future__ import annotations

import asyncio

from chassis.postgres import EVERY_TENANT, Database
from messages.commands.batch import handle
from messages.commands.model import Edit, Post
from messages.message import ChannelId, MessageId, Range, TenantId, UserId
from messages.policy import Role
from messages.store import log
from messages.sweeper import Sweeper
from services.messages.tests.conftest import Listener, Town


async def _rows(database: Database) -> int:
    async with database.connection(EVERY_TENANT) as connection:
        row = await (await connection.execute("SELECT count(*) FROM unpublished")).fetchone()
    assert row
    assert isinstance(row[0], int)
    return row[0]


async def test_a_batch_leaves_one_row_that_the_sweeper_deletes_once_published(own_town: Town) -> None:
    town = own_town
    one, two = await town.channel("ann"), await town.channel("ann")
    await Sweeper(town.database, town.publisher).delete_published()
    assert await _rows(town.database) == 0
    batches = [[town.command(channel, "ann", Post("x")) for channel in (one, two) for _ in range(5)] for _ in range(3)]
    for number, batch in enumerate(batches, 1):
        stored = await handle(town.database, batch)
        assert await _rows(town.database) == number
        await town.publisher.publish_stored(stored)
    await handle(town.database, [town.command(one, "ann", Post("not yet published"))])
    await Sweeper(town.database, town.publisher).delete_published()
    assert await _rows(town.database) == 1


async def test_refused_commands_and_read_positions_make_no_row(own_town: Town) -> None:
    town = own_town
    channel = await town.channel("ann")
    await Sweeper(town.database, town.publisher).delete_published()
    await town.do(town.command(channel, "eve", Post("x")), town.command(channel, "ann", Edit(MessageId(channel), "x")))
    assert await _rows(town.database) == 0


async def test_entries_that_a_crash_kept_from_the_bus_are_published_in_their_current_state(own_town: Town) -> None:
    town = own_town
    channel = await town.channel("ann")
    await Sweeper(town.database, town.publisher).delete_published()
    await town.do(*(town.command(channel, "ann", Post(f"{n}")) for n in range(3)))
    async with town.bus.follow(town.event_topics()) as feed:
        assert await Sweeper(town.database, town.publisher, stale_seconds=0).sweep() == 3
        listener = Listener(feed)
        await listener.until(lambda heard: len(heard.events) == 3)
    assert listener.events == await town.log(channel, after=2)
    assert await _rows(town.database) == 0


async def test_roster_changes_are_deleted_after_a_day(own_town: Town) -> None:
    town = own_town
    channel = ChannelId(await town.channel("ann"))
    async with town.database.transaction([town.tenant]) as connection:
        await log.change_roster(connection, TenantId(town.tenant), channel, [UserId(f"u{n}") for n in range(3)], Role.MEMBER)
        await connection.execute("UPDATE roster_changes SET at = at - interval '24 hours' WHERE number < 3")
    sweeper = Sweeper(town.database, town.publisher)
    assert (await sweeper.trim(), await sweeper.trim()) == (2, 0)
    async with town.database.connection(EVERY_TENANT) as connection:
        left = await log.roster_changes(connection, [Range(channel, 0, 3)])
    assert [change.roster for change in left] == [3]


class CountedSweeper(Sweeper):
    """Knows how often it counted, and stops when nothing is left."""

    counts = 0

    async def measure(self) -> int:
        self.counts += 1
        return await super().measure()

    async def sweep(self) -> int:
        swept = await super().sweep()
        if not swept:
            self.stopping.set()
        return swept

    async def until_done(self) -> None:
        self.stopping = asyncio.Event()
        await self.run(self.stopping)


async def test_stale_rows_are_counted_once_and_not_before_each_page(own_town: Town) -> None:
    town = own_town
    channel = await town.channel("ann")
    await Sweeper(town.database, town.publisher).delete_published()
    for _ in range(1_001):  # six pages
        await handle(town.database, [town.command(channel, "ann", Post("x"))])
    sweeper = CountedSweeper(town.database, town.publisher, stale_seconds=0)
    await sweeper.until_done()
    assert await _rows(town.database) == 0
    assert sweeper.counts == 1


async def test_recent_rows_are_left_to_the_process_that_stored_them(own_town: Town) -> None:
    town = own_town
    await town.channel("ann")
    assert await Sweeper(town.database, town.publisher).sweep() == 0


async def test_two_sweepers_take_different_rows(own_town: Town) -> None:
    town = own_town
    channel = await town.channel("ann")
    await Sweeper(town.database, town.publisher).delete_published()
    await town.do(town.command(channel, "ann", Post("x")))
    async with town.database.transaction(EVERY_TENANT) as other:
        await other.execute("SELECT FROM unpublished FOR UPDATE")
        assert await Sweeper(town.database, town.publisher, stale_seconds=0).sweep() == 0
    assert await Sweeper(town.database, town.publisher, stale_seconds=0).sweep() == 1


async def test_deleting_skips_rows_locked_by_another_transaction(own_town: Town) -> None:
    town = own_town
    channel = await town.channel("ann")
    await town.do(town.command(channel, "ann", Post("x")))
    (noted,) = town.stored[-1].unpublished
    async with town.database.transaction(EVERY_TENANT) as other:
        await other.execute("SELECT FROM unpublished FOR UPDATE")
        async with asyncio.timeout(2), town.database.connection(EVERY_TENANT) as connection:
            await log.delete_unpublished(connection, [noted])
    assert await _rows(town.database) >= 1


async def test_running_deletes_published_rows_when_no_batch_follows(own_town: Town) -> None:
    town = own_town
    await town.channel("ann")
    stopping = asyncio.Event()
    stopping.set()
    await Sweeper(town.database, town.publisher).run(stopping)
    assert await _rows(town.database) == 0

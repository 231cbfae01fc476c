"""The store's epoch: what carries it, and what begins a new one."""

from __future__ import annotations

import asyncio
import os
import sys
from datetime import UTC, datetime

import psycopg
import pytest

from hubbub.events.v1 import events_pb2 as events
from hubbub.messages.v1 import messages_service_pb2 as rpc
from messages.commands.model import Edit, Post
from messages.message import ChannelId, Entry, EntryKind, MessageId, TenantId, UserId
from messages.publisher import Publisher
from messages.store import epoch
from messages.store.epoch import StoreEpoch
from services.messages.tests.conftest import PARTITIONS, Town


async def _current(town: Town) -> StoreEpoch:
    async with town.database.connection([town.tenant]) as connection:
        return await epoch.current(connection)


async def _declare(url: str) -> str:
    """Declare an epoch as an operator does; return the log."""
    environment = {**os.environ, "HUBBUB_MESSAGES_MIGRATION_DATABASE_URL": url}
    command = (sys.executable, "-m", "messages", "epoch", "declare", "--reason", "restored a backup")
    process = await asyncio.create_subprocess_exec(*command, env=environment, stdout=asyncio.subprocess.PIPE)
    printed, _ = await process.communicate()
    assert process.returncode == 0
    return printed.decode()


async def test_a_new_store_is_in_its_first_epoch_which_ends_with_the_timeline_of_the_server(town: Town) -> None:
    current = await _current(town)
    assert current.first
    assert current.id.endswith("-00000001")


async def test_every_read_of_positions_and_every_new_entry_carries_the_epoch(town: Town) -> None:
    channel = await town.channel("ann", "bob")
    (posted,) = await town.do(town.command(channel, "ann", Post("x")))
    await town.do(town.command(channel, "ann", Edit(posted.message or MessageId(""), "y")))
    expected = (await _current(town)).id
    assert [entry.epoch for stored in town.stored for entry in stored.entries] == [expected, expected]
    sessions = rpc.OpenSessionsRequest(sessions=[rpc.AdmitUserRequest(caller=town.caller("bob"))])
    opened = await town.service.OpenSessions(sessions, None)
    heads = await town.service.GetHeads(rpc.GetHeadsRequest(), None)
    fetched = await town.service.FetchEvents(rpc.FetchEventsRequest(tenant=town.tenant, channel=channel), None)
    nothing = await town.service.FetchEvents(rpc.FetchEventsRequest(tenant=town.tenant, channel=channel, after=9), None)
    catch_up = rpc.CatchUpRequest(caller=town.caller("bob"), limit=9, positions=[rpc.Position(channel=channel, seq=1)])
    caught_up = [answer async for answer in town.service.CatchUp(catch_up, None)]
    assert [each.epoch for each in caught_up] == [expected] * len(caught_up)
    assert [opened.epoch, heads.epoch, fetched.epoch, nothing.epoch] == [expected] * 4
    assert opened.first_epoch


async def test_a_channel_change_is_published_with_the_epoch(town: Town) -> None:
    async with town.bus.follow(town.event_topics()) as deliveries:
        await town.channel("ann")
        delivery = await anext(aiter(deliveries))
    batch = events.EventBatch.FromString(delivery.entries[0].payload)  # type: ignore[union-attr]
    assert batch.epoch == (await _current(town)).id


async def test_entries_of_two_epochs_are_never_in_one_batch(town: Town) -> None:
    channel, tenant, at = ChannelId(await town.channel("ann")), TenantId(town.tenant), datetime.now(UTC)
    entries = [
        Entry(channel, seq, tenant, EntryKind.CHANNEL_UPDATED, UserId("ann"), at, epoch=name)
        for seq, name in ((3, "1"), (4, "1"), (5, "2"), (6, "2"))
    ]
    async with town.bus.follow(town.event_topics()) as deliveries:
        await Publisher(town.bus, PARTITIONS).publish_entries(entries, [])
        delivery = await anext(aiter(deliveries))
    batches = [events.EventBatch.FromString(entry.payload) for entry in delivery.entries]  # type: ignore[union-attr]
    assert [(batch.epoch, [event.seq for event in batch.events]) for batch in batches] == [("1", [3, 4]), ("2", [5, 6])]


async def test_a_declared_epoch_is_later_and_no_longer_the_first(own_town: Town, database: str) -> None:
    former = await _current(own_town)
    printed = await _declare(database)
    current = await _current(own_town)
    assert current.id in printed
    assert not current.first
    assert current.id > former.id


async def test_an_epoch_is_not_declared_while_the_clock_is_behind_the_last_one(own_town: Town, database: str) -> None:
    del own_town
    async with await psycopg.AsyncConnection.connect(database, autocommit=True) as owner:
        await owner.execute("UPDATE epoch SET id = uuidv7('1 day')")
        assert await epoch.declare(owner, "x") is None


async def test_the_role_of_a_service_cannot_declare_an_epoch(town: Town) -> None:
    async with town.database.connection([town.tenant]) as connection:
        assert (await epoch.current(connection)).first
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            await epoch.declare(connection, "x")

"""The worker stores, publishes and acknowledges, in this order, also after failures in between."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import psycopg
import pytest
import redis.asyncio
from prometheus_client import REGISTRY

from bus.bus import Delivery
from bus.redis_streams import RedisBus
from bus.topics import commands, partition_of
from chassis.postgres import EVERY_TENANT
from hubbub.events.v1 import events_pb2 as events
from hubbub.messages.v1 import messages_service_pb2 as rpc
from messages.commands.batch import handle
from messages.publisher import Publisher
from messages.sweeper import Sweeper
from messages.worker import GROUP, decode
from services.messages.tests.conftest import GATEWAY, PARTITIONS, Listener, Town, until_a_lock_is_awaited


async def _take(town: Town, channel: str) -> AsyncIterator[Delivery]:
    topic = commands(partition_of(channel, PARTITIONS))
    async with town.bus.work([topic], GROUP, "crashed") as work:
        async for delivery in work:
            yield delivery


async def test_a_command_becomes_an_event_with_its_origin(town: Town, listener: Listener) -> None:
    channel = await town.channel("ann", "bob")
    command = town.bus_command(channel, "bob", "hi")
    async with town.working():
        await town.send(command)
        await listener.until(lambda heard: any(event.command for event in heard.events))
    (event,) = (event for event in listener.events if event.command)
    assert (event.command, event.gateway, event.channel, event.seq) == (command.id, GATEWAY, channel, 4)
    assert (event.kind, event.actor, event.tenant) == (events.EVENT_KIND_MESSAGE_POSTED, "bob", town.tenant)
    assert event.payload == (await town.log(channel, after=3))[0].payload


async def test_refusals_and_repeats_are_replies(town: Town, listener: Listener) -> None:
    channel = await town.channel("ann")
    first, again, other, outsider, broken = (
        town.bus_command(channel, "ann", "x", key="k"),
        town.bus_command(channel, "ann", "x", key="k"),
        town.bus_command(channel, "ann", "y", key="k"),
        town.bus_command(channel, "eve"),
        town.bus_command(channel, "ann", ""),
    )
    async with town.working():
        await town.send(first, again, other, outsider, broken)
        await listener.until(lambda heard: len(heard.replies) == 4)
    assert (listener.replies[again.id].duplicate, listener.replies[again.id].seq) == (True, 3)
    assert listener.replies[again.id].message == (await town.log(channel, after=2))[0].message
    reasons = {each.id: listener.replies[each.id].reason for each in (again, other, outsider, broken)}
    assert reasons == {again.id: "", other.id: "KEY_REUSED", outsider.id: "NOT_FOUND", broken.id: "INVALID_ARGUMENT"}


async def test_a_moved_read_position_is_a_receipt_for_the_connection_that_moved_it(town: Town, listener: Listener) -> None:
    channel = await town.channel("ann", "bob")
    posted = await town.post(channel, "ann")
    read = town.bus_command(channel, "bob", read=events.MarkRead(seq=posted.seq), id="conn.7")
    async with town.working():
        await town.send(read, read)
        await listener.until(lambda heard: bool(heard.receipts))
    (receipt,) = listener.receipts
    assert (receipt.user, receipt.read_seq, receipt.connection) == ("bob", posted.seq, "conn")
    assert receipt.channel == channel


async def test_a_crash_between_commit_and_publishing_publishes_the_same_numbers_later(town: Town, listener: Listener) -> None:
    channel = await town.channel("ann")
    await town.send(town.bus_command(channel, "ann", "one"), town.bus_command(channel, "ann", "two"))
    async for delivery in _take(town, channel):
        await handle(town.database, decode(delivery).commands)
        break  # crashed before it published
    async with town.working():
        await listener.until(lambda heard: len([event for event in heard.events if event.command]) == 2)
    published = [event for event in listener.events if event.command]
    assert [(event.seq, event.gateway) for event in published] == [(3, GATEWAY), (4, GATEWAY)]
    assert [event.payload for event in published] == [event.payload for event in await town.log(channel, after=2)]


async def test_a_crash_between_publishing_and_acknowledging_publishes_again(town: Town, listener: Listener) -> None:
    channel = await town.channel("ann")
    await town.send(town.bus_command(channel, "ann", "one"))
    async for delivery in _take(town, channel):
        await town.publisher.publish_stored(await handle(town.database, decode(delivery).commands))
        break  # crashed before it acknowledged
    async with town.working():
        await listener.until(lambda heard: len([event for event in heard.events if event.command]) == 2)
    first, second = (event for event in listener.events if event.command)
    assert first == second
    assert len(await town.log(channel)) == 3


async def test_two_workers_with_the_same_delivery_number_nothing_twice(town: Town) -> None:
    channel = await town.channel("ann")
    await town.send(*(town.bus_command(channel, "ann", f"{n}") for n in range(20)))
    async for delivery in _take(town, channel):
        batch = decode(delivery).commands
        both = await asyncio.gather(*(handle(town.database, batch) for _ in range(2)))
        assert [[outcome.seq for outcome in stored.outcomes] for stored in both] == [list(range(3, 23))] * 2
        break
    assert [event.seq for event in await town.log(channel)] == list(range(1, 23))


async def test_invalid_entries_are_rejected_and_the_others_go_through(town: Town, listener: Listener) -> None:
    channel = await town.channel("ann")
    topic = commands(partition_of(channel, PARTITIONS))
    before = REGISTRY.get_sample_value("hubbub_rejected_total", {"what": "entry"}) or 0
    await town.bus.publish([(topic, b"\xff\xff garbage")])
    await town.send(town.bus_command(channel, "ann"))
    async with town.working():
        await listener.until(lambda heard: bool(heard.rejected) and any(event.command for event in heard.events))
    assert listener.rejected == [b"\xff\xff garbage"]
    assert REGISTRY.get_sample_value("hubbub_rejected_total", {"what": "entry"}) == before + 1


async def test_a_command_of_an_unknown_kind_is_refused(town: Town, listener: Listener) -> None:
    channel = await town.channel("ann")
    unknown = events.Command(tenant=town.tenant, channel=channel, actor="ann", id="c.x", gateway=GATEWAY)
    async with town.working():
        await town.send(unknown)
        await listener.until(lambda heard: bool(heard.replies))
    assert listener.replies["c.x"].reason == "INVALID_ARGUMENT"


async def test_a_command_that_the_database_refuses_is_rejected_alone(own_town: Town) -> None:
    town = own_town
    async with town.database.connection(EVERY_TENANT) as connection:
        await connection.execute("ALTER TABLE entries ADD CHECK (text <> 'poison')")
    channel = await town.channel("ann")
    received = [town.bus_command(channel, "ann", text) for text in ("one", "poison", "two")]
    batch = events.CommandBatch(commands=received)
    topics = [*(town.event_topics()), *town.gateway_topics()]
    async with town.bus.follow(topics) as feed:
        listener = Listener(feed)
        await town.bus.publish([(commands(partition_of(channel, PARTITIONS)), batch.SerializeToString())])
        async with town.working():
            await listener.until(lambda heard: bool(heard.replies) and bool(heard.rejected))
    assert listener.replies[received[1].id].reason == "INTERNAL"
    assert events.CommandBatch.FromString(listener.rejected[0]).commands[0] == received[1]
    assert [event.command for event in await town.log(channel, after=2)] == [received[0].id, received[2].id]


@pytest.fixture
async def admin(own_town: Town) -> AsyncIterator[psycopg.AsyncConnection]:
    """Return a connection to the same database outside the pools."""
    async with await psycopg.AsyncConnection.connect(own_town.url, autocommit=True) as connection:
        yield connection


def _released(cause: str) -> float:
    return REGISTRY.get_sample_value("hubbub_deliveries_released_total", {"cause": cause}) or 0


async def _disconnect_all(admin: psycopg.AsyncConnection) -> None:
    await admin.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )


async def test_nothing_is_lost_while_the_database_is_read_only(own_town: Town, admin: psycopg.AsyncConnection) -> None:
    town = own_town
    channel = await town.channel("ann")
    name = psycopg.sql.Identifier(admin.info.dbname)
    await admin.execute(psycopg.sql.SQL("ALTER DATABASE {} SET default_transaction_read_only = on").format(name))
    await _disconnect_all(admin)
    released = _released("database")
    async with town.bus.follow(town.event_topics()) as feed, town.working():
        await town.send(town.bus_command(channel, "ann"))
        async with asyncio.timeout(10):
            while _released("database") < released + 3:  # noqa: ASYNC110 - only the metric shows it
                await asyncio.sleep(0.01)
        await admin.execute(psycopg.sql.SQL("ALTER DATABASE {} RESET default_transaction_read_only").format(name))
        await _disconnect_all(admin)
        listener = Listener(feed)
        await listener.until(lambda heard: bool(heard.events))
    assert [event.seq for event in listener.events] == [3]


async def test_entries_wait_while_the_bus_is_full(own_town: Town, valkey_url: str) -> None:
    town, bus = own_town, RedisBus(valkey_url)
    channel = await town.channel("ann")
    await Sweeper(town.database, town.publisher).delete_published()
    town.bus, town.publisher = bus, Publisher(bus, PARTITIONS)
    released = _released("bus")
    async with bus.follow(town.event_topics()) as feed, redis.asyncio.from_url(valkey_url) as server, town.working():
        async with town.database.transaction(EVERY_TENANT) as blocker:  # delivered before the bus is full, and stored afterwards
            await blocker.execute("SELECT FROM channels WHERE id = %s FOR UPDATE", [channel])
            await town.send(town.bus_command(channel, "ann"))
            await until_a_lock_is_awaited(town)
            await server.config_set("maxmemory", 1)
        async with asyncio.timeout(20):
            while _released("bus") < released + 1:  # noqa: ASYNC110 - only the metric shows it
                await asyncio.sleep(0.01)
        await server.config_set("maxmemory", 0)
        assert await Sweeper(town.database, town.publisher, stale_seconds=0).sweep() == 1
        listener = Listener(feed)
        await listener.until(lambda heard: len(heard.events) == 2)
    bus.close()
    assert [event.seq for event in listener.events] == [3, 3]


async def test_a_slow_partition_does_not_stop_the_others(town: Town, listener: Listener) -> None:
    slow, quick = await _in_two_partitions(town)
    async with town.working(), town.database.transaction(EVERY_TENANT) as blocker:
        await blocker.execute("SELECT FROM channels WHERE id = %s FOR UPDATE", [slow])
        await town.send(town.bus_command(slow, "ann"), town.bus_command(quick, "ann"))
        await listener.until(lambda heard: any(event.command for event in heard.events))
    assert {event.channel for event in listener.events if event.command} == {quick}


async def test_waiting_deliveries_are_stored_in_one_transaction(town: Town, listener: Listener) -> None:
    first, second = await _in_two_partitions(town)
    batches, commands_stored = _batches()
    async with town.working():
        await town.send(town.bus_command(first, "ann"), town.bus_command(second, "ann"))
        await listener.until(lambda heard: len({event.channel for event in heard.events if event.command}) == 2)
    assert _batches() == (batches + 1, commands_stored + 2)


async def test_a_tenant_that_floods_a_partition_leaves_the_next_transaction_to_the_others_as_well(
    town: Town, listener: Listener
) -> None:
    other = replace(town, tenant=f"{town.tenant}-other")
    loud = await town.channel("ann")
    quiet = await other.channel("bob")
    while partition_of(loud, PARTITIONS) != partition_of(quiet, PARTITIONS):
        quiet = await other.channel("bob")
    flood = [town.bus_command(loud, "ann", str(number)) for number in range(2_500)]
    late = other.bus_command(quiet, "bob", id="late")
    for start in range(0, len(flood), 500):
        batch = events.CommandBatch(commands=flood[start : start + 500])
        await town.bus.publish([(commands(partition_of(loud, PARTITIONS)), batch.SerializeToString())])
    await town.send(late)
    async with town.working():
        await listener.until(lambda heard: sum(bool(event.command) for event in heard.events) == len(flood) + 1)
    order = [event.command for event in listener.events if event.command]
    assert order.index("late") < 1_000
    assert [command for command in order if command != "late"] == [each.id for each in flood]


def _batches() -> tuple[float, float]:
    """Numbers of transactions and of commands stored so far."""
    count, total = (REGISTRY.get_sample_value(f"hubbub_batch_commands_{part}") for part in ("count", "sum"))
    return count or 0, total or 0


async def _in_two_partitions(town: Town) -> tuple[str, str]:
    first = second = await town.channel("ann")
    while partition_of(first, PARTITIONS) == partition_of(second, PARTITIONS):
        second = await town.channel("ann")
    return first, second


async def test_stopping_finishes_deliveries_in_progress(town: Town) -> None:
    channel = await town.channel("ann")
    async with town.working(), town.database.transaction(EVERY_TENANT) as blocker:
        await blocker.execute("SELECT FROM channels WHERE id = %s FOR UPDATE", [channel])
        await town.send(town.bus_command(channel, "ann"))
        await until_a_lock_is_awaited(town)
        town.stopping.set()
    assert len(await town.log(channel)) == 3


async def test_api_calls_succeed_while_the_bus_is_away_and_the_sweeper_publishes_later(
    own_town: Town, unused_tcp_port: int
) -> None:
    town = own_town
    channel = await town.channel("ann")
    sweeper = Sweeper(town.database, town.publisher, stale_seconds=0)
    await sweeper.delete_published()
    away = RedisBus(f"redis://127.0.0.1:{unused_tcp_port}/0")
    town.service._publisher = Publisher(away, PARTITIONS)  # noqa: SLF001 - the service's bus becomes unavailable
    posted = await town.post(channel, "ann")
    update = rpc.UpdateChannelRequest(caller=town.caller("ann"), channel=channel, topic="x")
    await town.service.UpdateChannel(update, None)
    away.close()
    async with town.bus.follow(town.event_topics()) as feed:
        assert await sweeper.sweep() == 2
        listener = Listener(feed)
        await listener.until(lambda heard: len(heard.events) == 2)
    assert [event.seq for event in listener.events] == [posted.seq, posted.seq + 1]
    assert await sweeper.sweep() == 0

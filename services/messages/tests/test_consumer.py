"""A process that cannot store leaves its partitions to those that can."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

import psycopg
import pytest
import redis.asyncio
from structlog.testing import capture_logs

from bus import redis_keys
from bus.redis_streams import RedisBus
from bus.topics import commands
from chassis.lifecycle import Lifecycle, Unusable
from chassis.postgres import EVERY_TENANT, Database, open_database
from messages.commands.judgement import PLANNER_SETTINGS
from messages.consumer import Consumer
from messages.publisher import Publisher
from messages.worker import GROUP, Worker
from services.messages.tests.conftest import PARTITIONS, Listener, Town


class Process:
    """What a worker process consists of, on a bus of its own."""

    def __init__(self, name: str, url: str, database: Database) -> None:
        self.life = Lifecycle()
        self.bus = RedisBus(url)
        self.database = database
        self.reconnected = asyncio.Event()
        self.consumer = Consumer(self.bus, PARTITIONS, name, self.life, on_failing=self._reconnect)

    async def _reconnect(self) -> None:
        self.reconnected.set()

    def worker(self) -> Worker:
        return Worker(self.database, Publisher(self.bus, PARTITIONS), self.life.stopping)


@contextlib.asynccontextmanager
async def _running(*processes: Process) -> AsyncIterator[None]:
    async with asyncio.timeout(40), asyncio.TaskGroup() as tasks:
        for each in processes:
            tasks.create_task(each.consumer.run(each.worker))
        try:
            yield
        finally:
            for each in processes:
                each.life.stop()
    for each in processes:
        each.bus.close()


@pytest.fixture
async def admin(valkey_url: str) -> AsyncIterator[redis.asyncio.Redis]:
    async with redis.asyncio.from_url(valkey_url, decode_responses=True) as client:
        yield client


async def _until_held(admin: redis.asyncio.Redis, wanted: Callable[[set[str]], bool]) -> None:
    """Poll until the holders of all partitions are as wanted; a partition without a holder counts as held by ''."""
    keys = [redis_keys.lease(GROUP, commands(number).name) for number in range(PARTITIONS)]
    while True:
        if wanted({str(holder or "").rpartition(":")[0] for holder in await admin.mget(keys)}):
            return


async def test_a_process_takes_partitions_while_it_is_ready_and_gives_them_up_otherwise(
    town: Town, valkey_url: str, admin: redis.asyncio.Redis
) -> None:
    one, two = Process("one", valkey_url, town.database), Process("two", valkey_url, town.database)
    async with _running(one, two):
        one.life.set_ready(True)
        await _until_held(admin, lambda holders: holders == {"one"})
        two.life.set_ready(True)
        await _until_held(admin, lambda holders: holders == {"one", "two"})
        two.life.set_ready(False)
        await _until_held(admin, lambda holders: holders == {"one"})
        one.life.set_ready(False)
        await _until_held(admin, lambda holders: holders == {""})
        two.life.set_ready(True)
        await _until_held(admin, lambda holders: holders == {"two"})


async def test_a_process_whose_deliveries_fail_leaves_although_its_checks_pass(
    town: Town, valkey_url: str, admin: redis.asyncio.Redis, unused_tcp_port: int
) -> None:
    channel = await town.channel("ann")
    away = f"postgresql://nobody:x@127.0.0.1:{unused_tcp_port}/nothing"
    async with open_database(away, connections=1, pipelines=2, name="tests") as broken:
        bad = Process("bad", valkey_url, broken)
        async with _running(bad):
            bad.life.set_ready(True)
            await _until_held(admin, lambda holders: holders == {"bad"})
            town.bus = bad.bus
            await town.send(town.bus_command(channel, "ann"))
            with capture_logs() as lines:
                await _until_held(admin, lambda holders: holders == {""})
            await bad.reconnected.wait()
            with pytest.raises(Unusable, match="deliveries failed"):
                await bad.consumer.check()
    assert [line["failing"] for line in lines if line["event"] == "partitions_given_up"] == [True]


async def test_a_delivery_in_progress_is_left_to_the_next_holder(town: Town, valkey_url: str, admin: redis.asyncio.Redis) -> None:
    channel = await town.channel("ann")
    one, two = Process("one", valkey_url, town.database), Process("two", valkey_url, town.database)
    async with _running(one, two):
        async with town.database.transaction(EVERY_TENANT) as blocker:
            await blocker.execute("SELECT FROM channels WHERE id = %s FOR UPDATE", [channel])
            one.life.set_ready(True)
            await _until_held(admin, lambda holders: holders == {"one"})
            town.bus = one.bus
            await town.send(town.bus_command(channel, "ann"))
            one.life.set_ready(False)
            await _until_held(admin, lambda holders: holders == {""})
        async with two.bus.follow(town.event_topics()) as feed:
            two.life.set_ready(True)
            listener = Listener(feed)
            await listener.until(lambda heard: bool(heard.events))
    assert [event.seq for event in await town.log(channel, after=2)] == [3]


@pytest.mark.parametrize(
    "change",
    [
        "ALTER TABLE entries RENAME COLUMN command TO later",
        "ALTER TABLE unpublished RENAME TO later",
        "ALTER TABLE members RENAME COLUMN read_seq TO later",
        "DROP FUNCTION is_banned CASCADE",
    ],
)
async def test_a_wrong_schema_sets_no_command_aside(own_town: Town, change: str) -> None:
    town = own_town
    channel = await town.channel("ann")
    async with (
        open_database(town.url, connections=4, pipelines=4, pipeline_settings=PLANNER_SETTINGS, name="tests") as fresh,
        await psycopg.AsyncConnection.connect(town.url) as admin,
    ):
        await admin.execute(change.encode())
        await admin.commit()
        town.database = fresh
        with capture_logs() as lines:
            async with town.working():
                await town.send(town.bus_command(channel, "ann"))
                async with asyncio.timeout(10):
                    while not any(line["event"] == "delivery_released" for line in lines):  # noqa: ASYNC110 - as the log says
                        await asyncio.sleep(0.01)
        assert {line["cause"] for line in lines if line["event"] == "delivery_released"} == {"database"}
        assert not {"command_set_aside", "batch_refused", "poison_set_aside"} & {line["event"] for line in lines}

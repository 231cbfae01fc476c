"""Cost guards that do not depend on time: server reads per message, and trims per publish."""

from __future__ import annotations

import asyncio
import contextlib

import redis.asyncio

from bus import redis_keys
from bus.redis_streams import RedisBus
from bus.topics import Topic, WhenFull, commands, events

MESSAGES = 200


async def test_a_message_costs_the_server_three_reads(valkey_url: str) -> None:
    topics: list[Topic] = [commands(partition) for partition in range(4)]
    async with redis.asyncio.from_url(valkey_url) as admin:
        with contextlib.closing(RedisBus(valkey_url, lease_seconds=30)) as bus:
            async with bus.follow([events(0)]) as followed, bus.work(topics, "group", "one") as work, asyncio.timeout(20):
                before = 0
                for number in range(MESSAGES + 1):
                    await bus.publish([(topics[number % len(topics)], b"command")])  # 1
                    delivery = await anext(aiter(work))
                    await work.complete([delivery], [(events(0), b"event")])  # 2: together with the next read of the topic
                    await anext(followed)  # 3
                    if number == 0:  # all connections are open by now
                        before = int((await admin.info("stats"))["total_reads_processed"])
                reads = int((await admin.info("stats"))["total_reads_processed"]) - before
    assert reads < 3.5 * MESSAGES


async def test_a_full_topic_trims_in_batches_and_never_exceeds_its_bound(valkey_url: str) -> None:
    full = Topic("events.full", 2_560, WhenFull.TRIM)
    async with redis.asyncio.from_url(valkey_url) as admin:
        with contextlib.closing(RedisBus(valkey_url)) as bus:
            await bus.publish([(full, b"old")] * full.bound)
            await admin.config_resetstat()
            for _ in range(110):
                await bus.publish([(full, b"new")])
                assert full.bound * 255 / 256 <= await admin.xlen(redis_keys.stream(full.name)) <= full.bound
            assert int((await admin.info("commandstats"))["cmdstat_xtrim"]["calls"]) < 110 / 4
            held = await admin.xlen(redis_keys.stream(full.name))
            assert int(await admin.get(redis_keys.size(full.name)) or 0) == held * (3 + 64)

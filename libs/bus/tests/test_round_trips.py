"""How often the server hears of a message on its way: a guard of what each costs, which no clock decides."""

from __future__ import annotations

import asyncio
import contextlib

import redis.asyncio

from bus.redis_streams import RedisBus
from bus.topics import Topic, commands, events

MESSAGES = 200


async def test_a_message_there_and_back_takes_three_reads_of_the_server(valkey_url: str) -> None:
    topics: list[Topic] = [commands(partition) for partition in range(4)]
    async with redis.asyncio.from_url(valkey_url) as admin:
        with contextlib.closing(RedisBus(valkey_url, lease_seconds=30)) as bus:
            async with bus.follow([events(0)]) as followed, bus.work(topics, "group", "one") as work, asyncio.timeout(20):
                before = 0
                for number in range(MESSAGES + 1):
                    await bus.publish([(topics[number % len(topics)], b"asked")])  # 1
                    delivery = await anext(aiter(work))
                    await work.complete([delivery], [(events(0), b"done")])  # 2: with the next read of the topic
                    await anext(followed)  # 3
                    if number == 0:  # everybody is connected by now
                        before = int((await admin.info("stats"))["total_reads_processed"])
                reads = int((await admin.info("stats"))["total_reads_processed"]) - before
    assert reads <= 3.1 * MESSAGES

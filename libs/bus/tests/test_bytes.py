"""Contract suite for the bounds of a read in bytes, for every implementation."""

from __future__ import annotations

import asyncio
import itertools
import random
from typing import TYPE_CHECKING

import pytest

from bus.bus import DELIVERY_BYTES, FOLLOW_BYTES, WORK_BYTES, Delivery
from bus.redis_connection import Address, Connection
from bus.redis_scripts import Scripts
from bus.topics import Topic, WhenFull, commands, events

if TYPE_CHECKING:
    from libs.bus.tests.conftest import World

ENTRY = 256 * 1024


def _size(delivery: Delivery) -> int:
    return sum(len(entry.payload) for entry in delivery.entries)


def _numbered(number: int, size: int) -> bytes:
    return b"%08d" % number + bytes(size - 8)


async def test_a_delivery_is_bounded_in_bytes_and_the_next_continues(world: World) -> None:
    bus = world.connect()
    sizes = [100, ENTRY, 100, ENTRY, ENTRY, ENTRY, ENTRY, 2 * DELIVERY_BYTES, ENTRY, *[100] * 100, ENTRY]
    for number, size in enumerate(sizes):
        await bus.publish([(commands(0), _numbered(number, size))])
    seen: list[int] = []
    async with bus.work([commands(0)], "group", "one") as work, asyncio.timeout(10):
        while len(seen) < len(sizes):
            delivery = await anext(aiter(work))
            assert _size(delivery) <= DELIVERY_BYTES or len(delivery.entries) == 1
            seen += [int(entry.payload[:8]) for entry in delivery.entries]
            await work.complete([delivery])
    assert seen == list(range(len(sizes)))


async def test_an_entry_that_arrives_during_a_delivery_follows_it(world: World) -> None:
    bus = world.connect()
    await bus.publish([(commands(0), _numbered(number, ENTRY)) for number in range(9)])
    async with bus.work([commands(0)], "group", "one") as work, asyncio.timeout(10):
        seen = []
        for number in range(9, 20):
            delivery = await anext(aiter(work))
            seen += [int(entry.payload[:8]) for entry in delivery.entries]
            await bus.publish([(commands(0), _numbered(number, ENTRY))])
            await work.complete([delivery])
        while len(seen) < 20:
            delivery = await anext(aiter(work))
            seen += [int(entry.payload[:8]) for entry in delivery.entries]
            await work.complete([delivery])
    assert seen == list(range(20))


@pytest.mark.parametrize("address", ["valkey"], indirect=True)
async def test_the_deliveries_of_many_topics_are_bounded_together(world: World) -> None:
    bus = world.connect()
    topics = [commands(partition) for partition in range(48)]
    for topic in topics:
        await bus.publish([(topic, bytes(ENTRY)) for _ in range(6)])
    async with bus.work(topics, "group", "one") as work, asyncio.timeout(20):
        held = [await anext(aiter(work)) for _ in topics]
    assert {delivery.topic for delivery in held} == {topic.name for topic in topics}
    assert sum(map(_size, held)) <= WORK_BYTES


@pytest.mark.parametrize("address", ["valkey"], indirect=True)
async def test_a_follower_that_is_behind_reads_within_a_bound_and_misses_nothing(world: World) -> None:
    bus = world.connect()
    topics = [events(partition) for partition in range(8)]
    async with bus.follow(topics) as feed, asyncio.timeout(20):
        for number in range(40):
            await bus.publish([(topic, _numbered(number, ENTRY)) for topic in topics])
        seen: dict[str, list[int]] = {topic.name: [] for topic in topics}
        while any(len(numbers) < 40 for numbers in seen.values()):
            delivery = await anext(feed)
            assert isinstance(delivery, Delivery)
            assert _size(delivery) <= FOLLOW_BYTES
            seen[delivery.topic] += [int(entry.payload[:8]) for entry in delivery.entries]
    assert all(numbers == list(range(40)) for numbers in seen.values())


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("address", ["valkey"], indirect=True)
async def test_the_script_returns_a_prefix_of_each_stream_within_both_bounds(world: World, valkey_url: str, seed: int) -> None:
    dice = random.Random(seed)
    bus, scripts = world.connect(), Scripts.load()
    topics = [Topic(f"events.{seed}.{n}", 1_000, WhenFull.TRIM) for n in range(dice.randint(1, 4))]
    content = {topic: [_numbered(n, dice.choice((8, 1_000, 50_000))) for n in range(dice.randint(0, 40))] for topic in topics}
    await bus.publish([(topic, payload) for topic in topics for payload in content[topic]])
    connection = await Connection.open(Address.parse(valkey_url), 5, scripts=scripts.sources())
    most, room = dice.randint(1, 30), dice.choice((1, 10_000, 200_000, 10**9))
    keys = [f"bus:{topic.name}" for topic in topics]
    (answer,) = await connection.call([scripts.look.call([], most, room, *itertools.chain(*((key, "0-0") for key in keys)))], 5)
    connection.close()
    read = [[entry[1][1] for entry in found[1:]] for found in answer]
    for topic, found, payloads in zip(topics, answer, read, strict=True):
        assert payloads == content[topic][: len(payloads)]
        assert len(payloads) <= most
        assert not found[0] or len(payloads) == len(content[topic])
    flat = list(itertools.chain(*read))
    assert sum(map(len, flat)) <= room or len(flat) == 1
    assert bool(flat) == any(content.values())

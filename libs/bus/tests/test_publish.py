"""Contract suite for publishing, for every implementation."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import pytest

from bus.bus import Bus, BusFull, Delivery, Lost
from bus.topics import Topic, WhenFull, commands, events

if TYPE_CHECKING:
    from libs.bus.tests.conftest import World

SMALL = Topic("commands.small", 3, WhenFull.REFUSE)


async def _payloads(feed: AsyncIterator[Delivery | Lost], count: int) -> list[bytes]:
    payloads: list[bytes] = []
    async with asyncio.timeout(10):
        while len(payloads) < count:
            item = await anext(feed)
            assert isinstance(item, Delivery)
            payloads += [entry.payload for entry in item.entries]
    return payloads


async def test_entries_of_a_topic_keep_the_order_in_which_they_were_published(world: World) -> None:
    bus = world.connect()
    wanted = [b"%d" % number for number in range(500)]
    async with bus.follow([events(0)]) as feed:
        await bus.publish([(events(0), payload) for payload in wanted[:250]])
        await bus.publish([(events(0), payload) for payload in wanted[250:]])
        assert await _payloads(feed, 500) == wanted


async def test_concurrent_calls_keep_their_order(world: World) -> None:
    bus = world.connect()
    wanted = [b"%d" % number for number in range(50)]
    async with world.connect().follow([events(0)]) as feed:
        async with asyncio.TaskGroup() as tasks:
            for payload in wanted:
                tasks.create_task(bus.publish([(events(0), payload)]))
        assert await _payloads(feed, 50) == wanted


async def test_payloads_are_any_bytes(world: World) -> None:
    bus = world.connect()
    payloads = [b"", b"\x00\r\n\xff", bytes(range(256)) * 1024]
    async with bus.follow([events(0)]) as feed:
        await bus.publish([(events(0), payload) for payload in payloads])
        assert await _payloads(feed, 3) == payloads


async def test_a_full_topic_refuses_its_part_of_the_batch_and_others_accept_theirs(world: World) -> None:
    bus = world.connect()
    async with bus.follow([events(0)]) as feed:
        await bus.publish([(SMALL, b"1"), (SMALL, b"2")])
        with pytest.raises(BusFull) as refusal:
            await bus.publish([(SMALL, b"3"), (events(0), b"e"), (SMALL, b"4")])
        assert refusal.value.topics == {SMALL.name}
        assert await _payloads(feed, 1) == [b"e"]
    await bus.publish([(SMALL, b"5")])
    assert await _waiting(bus, SMALL, 3) == [b"1", b"2", b"5"]


async def test_acknowledging_makes_room_in_a_refusing_topic(world: World) -> None:
    bus = world.connect()
    await bus.publish([(SMALL, b"1"), (SMALL, b"2"), (SMALL, b"3")])
    with pytest.raises(BusFull):
        await bus.publish([(SMALL, b"4")])
    async with bus.work([SMALL], "group", "one") as work, asyncio.timeout(10):
        await work.complete([await anext(aiter(work))])
    await bus.publish([(SMALL, b"4")])


async def test_a_refusing_topic_is_also_bounded_in_bytes(world: World) -> None:
    bus = world.connect()
    topic = Topic("commands.large", 1_000, WhenFull.REFUSE, bound_bytes=10_000)
    await bus.publish([(topic, bytes(6_000))])
    with pytest.raises(BusFull):
        await bus.publish([(topic, bytes(4_000))])
    await bus.publish([(topic, bytes(3_000))])
    async with bus.work([topic], "group", "one", count=1) as work, asyncio.timeout(10):
        await work.complete([await anext(aiter(work))])
    await bus.publish([(topic, bytes(4_000))])
    with pytest.raises(BusFull):
        await bus.publish([(topic, bytes(4_000))])


async def test_a_trimming_topic_is_also_bounded_in_bytes_and_keeps_its_newest_entries(world: World) -> None:
    bus = world.connect()
    topic = Topic("events.large", 1_000, WhenFull.TRIM, bound_bytes=10_000)
    for number in range(20):
        await bus.publish([(topic, bytes([number]) * 3_000)])
    assert [payload[0] for payload in await _waiting(bus, topic, 10)] == [17, 18, 19]
    await bus.publish([(topic, b"a" * 20_000)])
    assert await _waiting(bus, topic, 10) == [b"a" * 20_000]


async def test_concurrent_publishers_do_not_exceed_the_bound(world: World) -> None:
    async with asyncio.TaskGroup() as tasks:
        attempts = [tasks.create_task(_try(world.connect(), number)) for number in range(8)]
    assert sum(attempt.result() for attempt in attempts) == 3
    assert len(await _waiting(world.connect(), SMALL, 3)) == 3


async def test_an_empty_batch_is_accepted(world: World) -> None:
    await world.connect().publish([])


async def test_ping_succeeds_while_the_bus_answers(world: World) -> None:
    await world.connect().ping()


async def test_topics_of_different_kinds_share_a_batch(world: World) -> None:
    bus = world.connect()
    async with bus.follow([events(0), events(1)]) as feed:
        await bus.publish([(events(0), b"a"), (commands(0), b"c"), (events(1), b"b")])
        assert sorted(await _payloads(feed, 2)) == [b"a", b"b"]
    assert await _waiting(bus, commands(0), 1) == [b"c"]


async def _try(bus: Bus, number: int) -> bool:
    try:
        await bus.publish([(SMALL, b"%d" % number)])
    except BusFull:
        return False
    return True


async def _waiting(bus: Bus, topic: Topic, count: int) -> list[bytes]:
    async with bus.work([topic], "group", "one", count=count) as work, asyncio.timeout(10):
        return [entry.payload for entry in (await anext(aiter(work))).entries]

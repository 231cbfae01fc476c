"""Contract suite for followers, for every implementation."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from bus.bus import Delivery, Lost
from bus.topics import Topic, WhenFull, events, replies, revocations

if TYPE_CHECKING:
    from libs.bus.tests.conftest import World


async def _next(feed: AsyncIterator[Delivery | Lost]) -> Delivery | Lost:
    async with asyncio.timeout(10):
        return await anext(feed)


async def _until(feed: AsyncIterator[Delivery | Lost], payload: bytes) -> list[bytes | str]:
    """Return the payloads and the reasons of `Lost` up to a payload."""
    seen: list[bytes | str] = []
    while payload not in seen:
        match await _next(feed):
            case Delivery(_, entries):
                seen += [entry.payload for entry in entries]
            case Lost(_, reason):
                seen.append(reason)
    return seen


async def test_every_follower_gets_what_is_published_after_it_began_and_nothing_earlier(world: World) -> None:
    bus = world.connect()
    await bus.publish([(events(0), b"before")])
    async with bus.follow([events(0)]) as one:
        await bus.publish([(events(0), b"between")])
        async with world.connect().follow([events(0)]) as two:
            await bus.publish([(events(0), b"after")])
            assert await _until(one, b"after") == [b"between", b"after"]
            assert await _until(two, b"after") == [b"after"]


async def test_entries_gather_while_a_follower_lingers(world: World) -> None:
    bus, asked = world.connect(), asyncio.Event()

    def linger() -> float:
        asked.set()
        return 10.0  # more than a follower may

    async with bus.follow([events(0)], linger=linger) as feed:
        reading = asyncio.ensure_future(_next(feed))
        await asked.wait()
        for number in range(3):
            await bus.publish([(events(0), b"%d" % number)])
        item = await reading
        assert isinstance(item, Delivery)
        assert [entry.payload for entry in item.entries] == [b"0", b"1", b"2"]


async def test_a_topic_need_not_exist_yet(world: World) -> None:
    bus = world.connect()
    async with bus.follow([replies("gateway-0"), revocations()]) as feed:
        await bus.publish([(replies("gateway-0"), b"1")])
        item = await _next(feed)
        assert isinstance(item, Delivery)
        assert (item.topic, item.entries[0].payload) == ("replies.gateway-0", b"1")


async def test_topics_arrive_complete_and_in_order_under_load(world: World) -> None:
    bus = world.connect()
    topics = [events(partition) for partition in range(4)]
    async with bus.follow(topics) as feed, asyncio.TaskGroup() as tasks:
        for topic in topics:
            tasks.create_task(_publish_all(world, topic.name))
        seen: dict[str, list[bytes]] = {topic.name: [] for topic in topics}
        while any(len(payloads) < 300 for payloads in seen.values()):
            item = await _next(feed)
            assert isinstance(item, Delivery)
            seen[item.topic] += [entry.payload for entry in item.entries]
    assert all(payloads == [b"%d" % number for number in range(300)] for payloads in seen.values())


async def _publish_all(world: World, name: str) -> None:
    bus = world.connect()
    topic = events(int(name.partition(".")[2]))
    for number in range(300):
        await bus.publish([(topic, b"%d" % number)])


async def test_entries_trimmed_unread_are_reported_as_lost(world: World) -> None:
    bus = world.connect()
    async with bus.follow([events(0), events(1)]) as feed:
        await bus.publish([(events(0), b"%d" % number) for number in range(50)])
        await world.trim(events(0), 10)
        seen: list[bytes | str] = []
        while not ("trimmed" in seen and b"49" in seen):
            match await _next(feed):
                case Delivery(_, entries):
                    seen += [entry.payload for entry in entries]
                case Lost(topics, reason):
                    assert topics == ("events.0",)
                    seen.append(reason)
    assert [item for item in seen if isinstance(item, bytes)] == [b"%d" % number for number in range(40, 50)]


async def test_a_follower_overtaken_by_trimming_gets_lost_before_any_later_entry(world: World) -> None:
    bus = world.connect()
    topic = Topic("events.bounded", 200, WhenFull.TRIM)
    async with bus.follow([topic]) as feed:
        for start in range(0, 1_000, 50):
            await bus.publish([(topic, b"%d" % number) for number in range(start, start + 50)])
        assert await _next(feed) == Lost(("events.bounded",), "trimmed")
        seen = await _until(feed, b"999")
    assert seen == [b"%d" % number for number in range(800, 1_000)]


async def test_a_wipe_is_reported_and_later_entries_arrive(world: World) -> None:
    bus = world.connect()
    async with bus.follow([events(0), events(1)]) as feed:
        await bus.publish([(events(0), b"1")])
        assert await _until(feed, b"1") == [b"1"]
        await world.wipe()
        lost = {name for item in [await _next(feed)] if isinstance(item, Lost) for name in item.topics}
        assert "events.0" in lost
        await bus.publish([(events(0), b"2")])
        assert (await _until(feed, b"2"))[-1] == b"2"


async def test_a_cancelled_wait_loses_nothing(world: World) -> None:
    bus = world.connect()
    async with bus.follow([events(0)]) as feed:
        waiting = asyncio.ensure_future(anext(feed))
        await bus.ping()
        waiting.cancel()
        await asyncio.wait([waiting])
        await bus.publish([(events(0), b"1")])
        assert await _until(feed, b"1") == [b"1"]

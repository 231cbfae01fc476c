"""Contract suite for readers, for every implementation."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import TYPE_CHECKING

import pytest

from bus.bus import Bus, Current, Delivery, Gone, Lost, ReadItem
from bus.topics import Topic, WhenFull, events

if TYPE_CHECKING:
    from libs.bus.tests.conftest import World

TOPICS = [events(partition) for partition in range(4)]


class Store:
    """A reader's stored cursors, and what it has read."""

    def __init__(self) -> None:
        self.cursors: dict[str, str] = {}
        self.seen: dict[str, list[bytes | str]] = {}
        """By topic: payloads, and the reasons of `Lost`."""
        self.current: set[str] = set()
        """Topics that were current."""
        self._kept = asyncio.Condition()

    async def until(self, enough: Callable[[], bool]) -> None:
        """Wait until `enough` is true, while other tasks keep items."""
        async with self._kept:
            await self._kept.wait_for(enough)

    async def announce(self) -> None:
        """Wake those who wait."""
        async with self._kept:
            self._kept.notify_all()

    async def load(self, topics: Sequence[str]) -> Mapping[str, str]:
        return {topic: self.cursors[topic] for topic in topics if topic in self.cursors}

    def keep(self, item: ReadItem) -> None:
        """Keep an item as if its effects were committed with the cursor."""
        match item:
            case Delivery(topic, entries, cursor):
                self.seen.setdefault(topic, []).extend(entry.payload for entry in entries)
                self.cursors[topic] = cursor
            case Lost(topics, reason):
                for topic in topics:
                    self.seen.setdefault(topic, []).append(reason)
            case Current(topic, cursor, _):
                self.cursors[topic] = cursor
                self.current.add(topic)
            case Gone():
                pass

    def payloads(self, topic: str) -> list[bytes]:
        return [item for item in self.seen.get(topic, []) if isinstance(item, bytes)]


async def read(feed: AsyncIterator[ReadItem], store: Store, enough: Callable[[], bool]) -> None:
    """Read until `enough` is true."""
    async with asyncio.timeout(20):
        while not enough():
            store.keep(await anext(feed))


async def begin(bus: Bus, store: Store, topics: Sequence[Topic]) -> None:
    """Store a cursor for each topic, at its end."""
    async with bus.read(topics, "reader", "first", store.load) as feed:
        await read(feed, store, lambda: store.cursors.keys() == {topic.name for topic in topics})
    store.seen.clear()


async def test_a_reader_without_a_cursor_begins_with_lost_and_gets_what_is_published_afterwards(world: World) -> None:
    bus, store = world.connect(), Store()
    await bus.publish([(events(0), b"before")])
    async with bus.read([events(0)], "reader", "one", store.load) as feed:
        await read(feed, store, lambda: "events.0" in store.cursors)
        await bus.publish([(events(0), b"after")])
        await read(feed, store, lambda: b"after" in store.seen["events.0"])
    assert store.seen["events.0"] == ["new", b"after"]


async def test_a_restarted_reader_continues_at_its_cursor(world: World) -> None:
    bus, store = world.connect(), Store()
    await begin(bus, store, [events(0)])
    await bus.publish([(events(0), b"%d" % number) for number in range(100)])
    async with world.connect().read([events(0)], "reader", "one", store.load) as feed:
        await read(feed, store, lambda: b"99" in store.seen.get("events.0", []))
    await bus.publish([(events(0), b"100")])
    async with world.connect().read([events(0)], "reader", "one", store.load) as feed:
        await read(feed, store, lambda: b"100" in store.seen["events.0"])
    assert store.seen["events.0"] == [b"%d" % number for number in range(101)]


async def test_entries_whose_cursor_was_not_stored_are_delivered_again(world: World) -> None:
    bus, store = world.connect(), Store()
    await begin(bus, store, [events(0)])
    await bus.publish([(events(0), b"1")])
    async with bus.read([events(0)], "reader", "one", store.load) as feed:
        item = await anext(feed)
        while not isinstance(item, Delivery):
            item = await anext(feed)
        assert item.entries[0].payload == b"1"  # and the instance dies before it commits
    async with bus.read([events(0)], "reader", "one", store.load) as feed:
        await read(feed, store, lambda: bool(store.payloads("events.0")))
    assert store.seen["events.0"] == [b"1"]


async def test_entries_trimmed_while_the_reader_was_away_are_reported_before_the_remaining_ones(world: World) -> None:
    bus, store = world.connect(), Store()
    await begin(bus, store, [events(0), events(1)])
    await bus.publish([(events(0), b"%d" % number) for number in range(50)] + [(events(1), b"kept")])
    await world.trim(events(0), 10)
    async with bus.read([events(0), events(1)], "reader", "one", store.load) as feed:
        await read(feed, store, lambda: b"49" in store.payloads("events.0") and b"kept" in store.payloads("events.1"))
    assert store.seen == {"events.0": ["trimmed", *(b"%d" % number for number in range(40, 50))], "events.1": [b"kept"]}


@pytest.mark.parametrize("away", [True, False])
async def test_a_wipe_is_reported_whether_the_reader_is_away_or_not(world: World, away: bool) -> None:
    bus, store = world.connect(), Store()
    await begin(bus, store, [events(0)])
    await bus.publish([(events(0), b"1")])
    async with bus.read([events(0)], "reader", "one", store.load) as feed:
        await read(feed, store, lambda: b"1" in store.payloads("events.0"))
        if not away:
            await world.wipe()
            await bus.publish([(events(0), b"2")])
            await read(feed, store, lambda: "wiped" in store.seen["events.0"])
    if away:
        await world.wipe()
        store.seen.clear()
    store.current.clear()
    async with bus.read([events(0)], "reader", "two", store.load) as feed:
        await read(feed, store, lambda: "events.0" in store.current)
        assert "wiped" in store.seen["events.0"]
        await bus.publish([(events(0), b"3")])
        await read(feed, store, lambda: b"3" in store.payloads("events.0"))


async def test_a_reader_that_has_everything_is_told_so_with_a_moving_time(world: World) -> None:
    bus, store = world.connect(), Store()
    times: list[float] = []
    async with bus.read([events(0)], "reader", "one", store.load) as feed, asyncio.timeout(20):
        while len(set(times)) < 2:
            item = await anext(feed)
            store.keep(item)
            if isinstance(item, Current):
                times.append(item.at)
    assert times == sorted(times)


async def test_a_topic_that_does_not_exist_yet_can_be_read(world: World) -> None:
    bus, store = world.connect(), Store()
    topic = Topic("events.later", 100, WhenFull.TRIM)
    await begin(bus, store, [topic])
    await bus.publish([(topic, b"1")])
    async with bus.read([topic], "reader", "one", store.load) as feed:
        await read(feed, store, lambda: bool(store.payloads(topic.name)))
    assert store.payloads(topic.name) == [b"1"]


async def test_two_instances_share_the_topics_and_a_leaving_one_hands_its_topics_over(world: World) -> None:
    bus, store = world.connect(), Store()
    await begin(bus, store, TOPICS)
    one_has: set[str] = set()

    async def follow(feed: AsyncIterator[ReadItem], has: set[str]) -> None:
        async for item in feed:
            store.keep(item)
            if isinstance(item, Gone):
                has.discard(item.topic)
            elif not isinstance(item, Lost):
                has.add(item.topic)
            await store.announce()

    def all_have(*payloads: bytes) -> bool:
        return all(store.payloads(topic.name) == [*payloads] for topic in TOPICS)

    async with asyncio.timeout(20), world.connect().read(TOPICS, "reader", "one", store.load) as one:
        following = asyncio.create_task(follow(one, one_has))
        two_has: set[str] = set()
        async with world.connect().read(TOPICS, "reader", "two", store.load) as two:
            also = asyncio.create_task(follow(two, two_has))
            await store.until(lambda: len(one_has) == len(two_has) == 2)
            assert not one_has & two_has
            await bus.publish([(topic, b"shared") for topic in TOPICS])
            await store.until(lambda: all_have(b"shared"))
            also.cancel()
        await store.until(lambda: len(one_has) == 4)
        await bus.publish([(topic, b"alone") for topic in TOPICS])
        await store.until(lambda: all_have(b"shared", b"alone"))
        following.cancel()


async def test_readers_do_not_take_entries_from_each_other_or_from_followers(world: World) -> None:
    bus, stores = world.connect(), {"search": Store(), "push": Store()}
    async with bus.follow([events(0)]) as followed:
        for name, store in stores.items():
            async with bus.read([events(0)], name, "one", store.load) as feed:
                await read(feed, store, lambda store=store: "events.0" in store.cursors)  # type: ignore[misc]
        await bus.publish([(events(0), b"1")])
        for name, store in stores.items():
            async with bus.read([events(0)], name, "one", store.load) as feed:
                await read(feed, store, lambda store=store: b"1" in store.payloads("events.0"))  # type: ignore[misc]
        item = await anext(followed)
    assert isinstance(item, Delivery)
    assert item.entries[0].payload == b"1"


async def test_a_reader_that_does_not_read_refuses_no_publisher_anything(world: World) -> None:
    bus, store = world.connect(), Store()
    topic = Topic("events.bounded", 200, WhenFull.TRIM)
    async with bus.read([topic], "reader", "one", store.load) as feed:
        await read(feed, store, lambda: topic.name in store.cursors)
        for start in range(0, 1_000, 50):
            await bus.publish([(topic, b"%d" % number) for number in range(start, start + 50)])
        await read(feed, store, lambda: b"999" in store.payloads(topic.name))
    assert "trimmed" in store.seen[topic.name]
    after = store.seen[topic.name].index("trimmed") + 1
    assert store.seen[topic.name][after:][-1] == b"999"


async def test_what_loading_the_cursors_raises_ends_the_iteration(world: World) -> None:
    class AwayError(Exception):
        pass

    async def load(_topics: Sequence[str]) -> Mapping[str, str]:
        raise AwayError

    async with world.connect().read([events(0)], "reader", "one", load) as feed:
        with pytest.raises(AwayError):
            await anext(feed)

"""Contract suite for group members, for every implementation."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import pytest

from bus.bus import Bus, BusFull, Delivery, Work
from bus.topics import Topic, WhenFull, commands, events

if TYPE_CHECKING:
    from libs.bus.tests.conftest import World

TOPICS = [commands(partition) for partition in range(8)]


async def _next(work: Work) -> Delivery:
    async with asyncio.timeout(10):
        return await anext(aiter(work))


def _payloads(delivery: Delivery) -> list[bytes]:
    return [entry.payload for entry in delivery.entries]


async def test_entries_published_before_the_first_member_are_delivered_in_order(world: World) -> None:
    bus = world.connect()
    await bus.publish([(commands(0), b"1"), (commands(0), b"2"), (commands(0), b"3")])
    async with bus.work([commands(0)], "group", "one") as work:
        assert _payloads(await _next(work)) == [b"1", b"2", b"3"]


async def test_a_delivery_has_at_most_count_entries_and_the_next_continues(world: World) -> None:
    bus = world.connect()
    await bus.publish([(commands(0), b"%d" % number) for number in range(5)])
    async with bus.work([commands(0)], "group", "one", count=2) as work:
        seen = []
        for _ in range(3):
            delivery = await _next(work)
            seen.append(_payloads(delivery))
            await work.complete([delivery])
        assert seen == [[b"0", b"1"], [b"2", b"3"], [b"4"]]


async def test_results_are_published_with_the_acknowledgement(world: World) -> None:
    bus = world.connect()
    await bus.publish([(commands(0), b"a1"), (commands(1), b"b1"), (commands(0), b"a2")])
    async with bus.follow([events(0)]) as followed, bus.work([commands(0), commands(1)], "group", "one", count=1) as work:
        await work.complete([await _next(work), await _next(work)], [(events(0), b"done"), (events(0), b"and more")])
        assert _payloads(await _next(work)) == [b"a2"]
        async with asyncio.timeout(10):
            seen = await anext(aiter(followed))
        assert isinstance(seen, Delivery)
        assert _payloads(seen) == [b"done", b"and more"]
    async with world.connect().work([commands(0), commands(1)], "group", "two") as work:
        assert _payloads(await _next(work)) == [b"a2"]


async def test_deliveries_stay_outstanding_when_a_topic_refuses_their_results(world: World) -> None:
    bus, full = world.connect(), Topic("full", 1, WhenFull.REFUSE)
    await bus.publish([(commands(0), b"a1"), (full, b"fills it")])
    async with bus.work([commands(0)], "group", "one") as work:
        delivery = await _next(work)
        with pytest.raises(BusFull):
            await work.complete([delivery], [(full, b"refused")])
        await work.release(delivery)
        assert _payloads(await _next(work)) == [b"a1"]


async def test_a_delivery_completed_after_a_refusal_is_not_redelivered(world: World) -> None:
    bus, full = world.connect(), Topic("full", 1, WhenFull.REFUSE)
    await bus.publish([(commands(0), b"1"), (commands(0), b"2"), (full, b"fills it")])
    async with bus.work([commands(0)], "group", "one", count=1) as work:
        delivery = await _next(work)
        with pytest.raises(BusFull):
            await work.complete([delivery], [(full, b"refused")])
        await work.complete([delivery])
        assert _payloads(await _next(work)) == [b"2"]


async def test_a_delivery_completed_after_a_cancelled_completion_is_not_redelivered(world: World) -> None:
    bus = world.connect()
    await bus.publish([(commands(0), b"1"), (commands(0), b"2")])
    async with bus.work([commands(0)], "group", "one", count=1) as work:
        delivery = await _next(work)
        completing = asyncio.create_task(work.complete([delivery], [(events(0), b"done")]))
        await asyncio.sleep(0)  # let it begin
        completing.cancel()
        await asyncio.wait([completing])
        await work.complete([delivery])
        assert _payloads(await _next(work)) == [b"2"]


async def test_an_outstanding_delivery_blocks_its_topic_and_no_other(world: World) -> None:
    bus = world.connect()
    await bus.publish([(commands(0), b"a1"), (commands(0), b"a2"), (commands(1), b"b1"), (commands(1), b"b2")])
    async with bus.work([commands(0), commands(1)], "group", "one", count=1) as work:
        first, second = await _next(work), await _next(work)
        assert {first.topic, second.topic} == {"commands.0", "commands.1"}
        await work.complete([second])
        third = await _next(work)
        assert third.topic == second.topic
        assert _payloads(third) != _payloads(second)


async def test_a_released_delivery_is_redelivered_before_later_entries(world: World) -> None:
    bus = world.connect()
    await bus.publish([(commands(0), b"1")])
    async with bus.work([commands(0)], "group", "one") as work:
        delivery = await _next(work)
        await bus.publish([(commands(0), b"2")])
        await work.release(delivery)
        again = await _next(work)
        assert _payloads(again)[0] == b"1"
        assert again.entries[0].id == delivery.entries[0].id


async def test_a_successor_starts_with_the_unacknowledged_entries(world: World) -> None:
    bus = world.connect()
    await bus.publish([(commands(0), b"1"), (commands(0), b"2"), (commands(0), b"3")])
    async with bus.work([commands(0)], "group", "one", count=1) as work:
        await work.complete([await _next(work)])
        assert _payloads(await _next(work)) == [b"2"]
    async with world.connect().work([commands(0)], "group", "two") as work:
        assert _payloads(await _next(work)) == [b"2", b"3"]


async def test_completing_after_leaving_is_harmless(world: World) -> None:
    bus = world.connect()
    await bus.publish([(commands(0), b"1")])
    async with bus.work([commands(0)], "group", "one") as left:
        delivery = await _next(left)
    async with bus.work([commands(0)], "group", "two") as work:
        again = await _next(work)
        await left.complete([delivery])
        await bus.publish([(commands(0), b"2")])
        await work.complete([again])
        assert _payloads(await _next(work)) == [b"2"]


async def test_a_cancelled_wait_loses_nothing(world: World) -> None:
    bus = world.connect()
    async with bus.work([commands(0)], "group", "one") as work:
        waiting = asyncio.ensure_future(anext(aiter(work)))
        await bus.ping()
        waiting.cancel()
        await asyncio.wait([waiting])
        await bus.publish([(commands(0), b"1")])
        assert _payloads(await _next(work)) == [b"1"]


async def test_each_entry_goes_to_one_member_in_topic_order(world: World) -> None:
    async with contextlib.AsyncExitStack() as stack:
        record = await _group(world, stack, ["one", "two", "three"])
        bus = world.connect()
        for number in range(40):
            await bus.publish([(topic, b"%d" % number) for topic in TOPICS])
        await record.until(lambda: len(record.seen) == 40 * len(TOPICS))
        for topic in TOPICS:
            assert [payload for name, payload, _ in record.seen if name == topic.name] == [b"%d" % n for n in range(40)]


async def test_members_share_the_topics_with_a_new_member(world: World) -> None:
    async with contextlib.AsyncExitStack() as stack:
        record = await _group(world, stack, ["one"])
        await _rounds_until(world.connect(), record, {"one": 8})
        record = await _group(world, stack, ["two"], record)
        await _rounds_until(world.connect(), record, {"one": 4, "two": 4})
        record = await _group(world, stack, ["three"], record)
        await _rounds_until(world.connect(), record, {"one": 3, "two": 3, "three": 2})


async def test_a_leaving_member_releases_its_topics(world: World) -> None:
    async with contextlib.AsyncExitStack() as stack:
        record = await _group(world, stack, ["one"])
        async with contextlib.AsyncExitStack() as leaving:
            await _group(world, leaving, ["two"], record)
            await _rounds_until(world.connect(), record, {"one": 4, "two": 4})
        await _rounds_until(world.connect(), record, {"one": 8})


async def test_a_busy_member_also_releases_its_surplus_topics(world: World) -> None:
    bus = world.connect()
    await bus.publish([(topic, b"first") for topic in TOPICS])
    async with bus.work(TOPICS, "group", "busy") as busy, contextlib.AsyncExitStack() as stack:
        held = [await _next(busy) for _ in TOPICS]
        record = await _group(world, stack, ["newcomer"])
        await bus.publish([(topic, b"second") for topic in TOPICS])
        for delivery in held:
            await busy.release(delivery)
        await record.until(lambda: len({topic for topic, _, _ in record.seen}) == 4)
        first = {topic: payload for topic, payload, _ in reversed(record.seen)}
        assert set(first.values()) == {b"first"}


async def test_work_continues_after_a_wipe(world: World) -> None:
    bus = world.connect()
    await bus.publish([(commands(0), b"1")])
    async with bus.work([commands(0)], "group", "one") as work:
        delivery = await _next(work)
        await world.wipe()
        await work.complete([delivery])
        await bus.publish([(commands(0), b"2")])
        assert _payloads(await _next(work)) == [b"2"]


class _Record:
    """Entries received by several members, as topic, payload and member."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, bytes, str]] = []
        self._more = asyncio.Condition()

    async def run(self, work: Work, name: str) -> None:
        async for delivery in work:
            async with self._more:
                self.seen += [(delivery.topic, entry.payload, name) for entry in delivery.entries]
                self._more.notify_all()
            await work.complete([delivery])

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(15), self._more:
            await self._more.wait_for(condition)


async def _group(world: World, stack: contextlib.AsyncExitStack, names: list[str], record: _Record | None = None) -> _Record:
    record = record or _Record()
    for name in names:
        work = await stack.enter_async_context(world.connect().work(TOPICS, "group", name))
        running = asyncio.create_task(record.run(work, name))
        stack.push_async_callback(asyncio.wait, [running])
        stack.callback(running.cancel)
    return record


async def _rounds_until(bus: Bus, record: _Record, wanted: dict[str, int]) -> None:
    """Publish to every topic repeatedly until the members' shares are as wanted."""
    number, shares = 0, Counter[str]()
    async with asyncio.timeout(15):
        while sorted(shares.values()) != sorted(wanted.values()) or set(shares) != set(wanted):
            number += 1
            payload = b"round %d of %d" % (number, id(record))
            await bus.publish([(topic, payload) for topic in TOPICS])
            await record.until(partial(_all_received, record, payload))
            holders = {topic: member for topic, seen, member in record.seen if seen == payload}
            shares = Counter(holders.values())
            record.seen.clear()


def _all_received(record: _Record, payload: bytes) -> bool:
    return sum(seen == payload for _, seen, _ in record.seen) >= len(TOPICS)

"""Entries of the bus reach the connections that they concern."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, cast

import pytest
from msgspec import Raw

from bus.bus import no_linger
from bus.memory import MemoryBus
from bus.topics import Topic, events
from gateway.commands.pending import Pending
from gateway.hub.fanout import GATHERED, LINGER_SECONDS, Fanout, Linger
from gateway.hub.reconcile import Reconciler
from hubbub.events.v1.events_pb2 import ChannelHead, EventBatch
from hubbub.messages.v1.messages_service_pb2_grpc import MessagesServiceStub
from services.gateway.tests.world import World


@pytest.mark.parametrize(("waits", "answered"), [("", True), ("g", True), ("another", False)])
async def test_a_command_is_acknowledged_by_its_event_also_when_the_sweeper_published_it(
    world: World, waits: str, answered: bool
) -> None:
    world.join("c", "ann")
    ann = world.connect("ann")
    bus, pending, unused = MemoryBus(), Pending(world.registry.writer, world.registry.connections), cast(Any, None)
    fanout = Fanout(
        bus, "g", partitions=1, hub=world.hub, writer=world.registry.writer, accounts=world.registry.accounts,
        reconciler=unused, on_reads=unused,
        on_event=pending.stored, on_reply=pending.replied, on_lost=unused,
    )  # fmt: skip
    pending.add("g-1.1", ann, Raw(b"1"))
    event = world.store.append("c")
    event.command, event.gateway = "g-1.1", waits
    following = asyncio.Event()
    task = asyncio.create_task(fanout.run(following.set))
    await following.wait()
    await bus.publish([(events(0), EventBatch(events=[event]).SerializeToString())])
    async with asyncio.timeout(5):
        while world.hub.channels["c"].head < event.seq:  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0)
    task.cancel()
    await world.settle()
    acks = [frame for frame in world.transports[ann].frames() if frame["type"] == "ack"]
    assert [frame["seq"] for frame in acks] == [event.seq] * answered


def test_reads_wait_longer_and_longer_while_nothing_concerns_this_gateway() -> None:
    linger, (shortest, longest) = Linger(lambda: False), LINGER_SECONDS
    pauses = [after_reading(linger, 1) for _ in range(8)]
    assert pauses[:3] == [shortest, 2 * shortest, 4 * shortest]
    assert max(pauses) == pauses[-1] == longest
    assert linger() == 0, "nothing was read"


def test_reads_wait_until_some_entries_have_gathered_and_not_until_many_have() -> None:
    linger, (few, many) = Linger(lambda: False), GATHERED
    pause = after_reading(linger, 1)
    assert after_reading(linger, few) == pause
    assert after_reading(linger, many + 1) == pause / 2


def test_a_read_that_concerns_this_gateway_is_followed_by_another_at_once() -> None:
    linger = Linger(lambda: False)
    after_reading(linger, 1)
    linger.local = True
    assert after_reading(linger, 5) == 0


def test_reads_do_not_wait_while_a_command_awaits_its_outcome() -> None:
    assert after_reading(Linger(lambda: True), 1) == 0


async def test_an_announced_head_is_compared_with_what_was_delivered(world: World) -> None:
    world.join("c", "ann")
    ann = world.connect("ann")
    await world.sync(ann)
    bus, unused = MemoryBus(), cast(Any, None)
    reconciler = Reconciler(world.hub, cast(MessagesServiceStub, world.store), 1, 60)
    fanout = Fanout(
        bus, "g", partitions=1, hub=world.hub, writer=world.registry.writer, accounts=world.registry.accounts,
        reconciler=reconciler, on_reads=unused,
        on_event=unused, on_reply=unused, on_lost=unused,
    )  # fmt: skip
    following = asyncio.Event()
    task = asyncio.create_task(fanout.run(following.set))
    await following.wait()
    world.store.append("c")  # never published
    await bus.publish([(events(0), EventBatch(heads=[ChannelHead(channel="c", seq=2)]).SerializeToString())])
    async with asyncio.timeout(5):
        while world.hub.channels["c"].head < 2:  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0)
    task.cancel()
    assert await world.seen(ann) == ["synced", "c:2"]


class WatchedBus(MemoryBus):
    """Records how long its follower lingers, and does not wait."""

    def __init__(self) -> None:
        super().__init__()
        self.pauses: asyncio.Queue[float] = asyncio.Queue()

    def follow(self, topics: Sequence[Topic], *, linger: Callable[[], float] = no_linger) -> Any:
        def watched() -> float:
            self.pauses.put_nowait(linger())
            return 0.0

        return super().follow(topics, linger=watched)


@pytest.mark.parametrize(("channel", "pause"), [("c", 0.0), ("elsewhere", LINGER_SECONDS[0])])
async def test_events_gather_only_after_those_of_channels_without_local_members(world: World, channel: str, pause: float) -> None:
    world.join("c", "ann")
    world.connect("ann")
    bus, unused = WatchedBus(), cast(Any, None)
    fanout = Fanout(
        bus, "g", partitions=1, hub=world.hub, writer=world.registry.writer, accounts=world.registry.accounts,
        reconciler=unused, on_reads=unused, on_event=lambda _event: None, on_reply=unused, on_lost=unused,
    )  # fmt: skip
    task = asyncio.create_task(fanout.run(lambda: None))
    async with asyncio.timeout(5):
        assert await bus.pauses.get() == 0
        await bus.publish([(events(0), EventBatch(events=[world.store.append(channel)]).SerializeToString())])
        assert await bus.pauses.get() == pause
    task.cancel()


def after_reading(linger: Linger, foreign: int) -> float:
    linger.foreign = foreign
    return linger()

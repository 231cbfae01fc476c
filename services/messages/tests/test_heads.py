"""Announcing the heads of active channels."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import pytest

from bus.bus import Delivery
from bus.memory import MemoryBus
from bus.topics import events as event_topic
from hubbub.events.v1.events_pb2 import EventBatch
from messages import heads as heads_module
from messages.commands.batch import handle
from messages.commands.model import Post
from messages.heads import Heads
from messages.message import ChannelId, Entry, EntryKind, TenantId, UserId
from services.messages.tests.conftest import Listener, Town


def entry(channel: str, seq: int, epoch: str = "1") -> Entry:
    at = datetime(2026, 11, 29, tzinfo=UTC)
    return Entry(ChannelId(channel), seq, TenantId("t"), EntryKind.MESSAGE_POSTED, UserId("ann"), at, epoch=epoch)


async def heard(bus: MemoryBus, act: Callable[[], Awaitable[None]]) -> list[tuple[str, dict[str, int]]]:
    """What reaches a follower of the first two topics: the epoch and the heads of each batch."""
    found = []
    async with bus.follow([event_topic(0), event_topic(1)]) as feed:
        await act()
        await bus.publish([(event_topic(1), b"")])
        async for delivery in feed:
            assert isinstance(delivery, Delivery)
            batches = [EventBatch.FromString(each.payload) for each in delivery.entries]
            found += [(batch.epoch, {head.channel: head.seq for head in batch.heads}) for batch in batches if batch.heads]
            if any(not each.payload for each in delivery.entries):
                return found
    raise AssertionError


async def test_the_head_of_a_channel_follows_its_events(town: Town, listener: Listener) -> None:
    channel = await town.channel("ann")
    await town.publisher.publish_stored(await handle(town.database, [town.command(channel, "ann", Post("x"))]))
    await town.publisher.heads.announce()
    await listener.until(lambda heard: any(head.channel == channel for head in heard.heads))
    assert [event.seq for event in listener.events if event.channel == channel] == [1, 2, 3]
    assert [head.seq for head in listener.heads if head.channel == channel] == [3]


async def test_what_the_bus_does_not_have_is_not_announced(town: Town, listener: Listener) -> None:
    channel = await town.channel("ann")
    await handle(town.database, [town.command(channel, "ann", Post("a worker died here"))])
    await town.publisher.heads.announce()
    await listener.until(lambda heard: any(head.channel == channel for head in heard.heads))
    assert [head.seq for head in listener.heads if head.channel == channel] == [2]


async def test_a_head_is_announced_once_with_the_last_number() -> None:
    bus = MemoryBus()
    heads = Heads(bus, 1)
    heads.note([entry("a", 3), entry("b", 1), entry("a", 2)])
    assert await heard(bus, heads.announce) == [("1", {"a": 3, "b": 1})]
    assert await heard(bus, heads.announce) == []


async def test_heads_of_different_epochs_travel_apart() -> None:
    bus = MemoryBus()
    heads = Heads(bus, 1)
    heads.note([entry("a", 9), entry("b", 4)])
    heads.note([entry("a", 7, "2")])
    assert sorted(await heard(bus, heads.announce)) == [("1", {"b": 4}), ("2", {"a": 7})]


async def test_heads_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heads_module, "BOUND", 2)
    bus = MemoryBus()
    heads = Heads(bus, 1)
    heads.note([entry("a", 1), entry("b", 1), entry("c", 1), entry("a", 2)])
    assert await heard(bus, heads.announce) == [("1", {"a": 2, "b": 1})]

"""The durable reader: every event of every channel's log, at least once and in order per channel, over restarts of everything.

    async with open_reader(bus, log, store, options, stopping) as batches:
        async for batch in batches:
            async with database.transaction(EVERY_TENANT) as connection:
                await apply(connection, batch.events)
                await store.advance(connection, batch.channels, batch.cursors)

A reader keeps, in its own store, the number up to which it has each channel's log, and a cursor for each topic of the bus. It
stores both in the transaction of its effects, so each effect takes place exactly once. Asking for the next batch means that the
previous one is committed. After any failure, leave the block and enter it again: that continues from the store, as after a crash.

Live events come from the bus, the others from the log. A gap in a channel's numbers is read from the log. Where the bus may
have lost entries, or the reader is new, a walk compares the heads of all channels with the reader's numbers, and reads what is
missing. Live events of a channel that is behind are dropped: they are read from the log in their turn. So memory is bounded, and
the live events of other channels do not wait: batches from the bus and from the log alternate.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, NamedTuple, Protocol, Self, assert_never

import structlog
from google.protobuf.message import DecodeError

from bus import metrics
from bus.bus import Bus, Current, Delivery, Gone, Lost, ReadItem
from bus.topics import events as event_topic
from bus.topics import partition_of
from hubbub.events.v1.events_pb2 import Event, EventBatch

_BATCH_EVENTS, _BATCH_BYTES = 1_000, 1024 * 1024
"""A batch from the bus that has reached one of these is closed."""
_READ_EVENTS = 500
"""Events of one batch from the log, unless a reader takes more."""
_FEWEST_READ_EVENTS = 100
_PAGE = 5_000
"""Channels of one page of a walk: at most so many, and those with a gap, are known to be behind."""
_GAPS = 10_000
"""With more channels behind than this, a further gap makes its topic walk instead."""

_log = structlog.get_logger(__name__)


class Span(NamedTuple):
    """The events of a channel numbered in (after, through]."""

    channel: str
    after: int
    through: int


class Log(Protocol):
    """The logs of all channels, in their state after the events that the bus has carried."""

    async def epoch(self) -> str:
        """The store's epoch. Numbers of another epoch may belong to other events."""
        ...

    async def heads(self, after: str, limit: int) -> Sequence[tuple[str, int]]:
        """Channels with an id above `after`, in the order of their ids, each with its head. Fewer than `limit` end the list."""
        ...

    async def events(self, spans: Sequence[Span]) -> Sequence[Event]:
        """The events of the spans, those of each channel in order, without those that the log does not keep any more."""
        ...


class Store(Protocol):
    """What the reader has stored. `chassis.reader_store` implements it, and storing, in PostgreSQL."""

    async def cursors(self, topics: Sequence[str]) -> Mapping[str, str]:
        """The cursors of topics, without those that have none."""
        ...

    async def positions(self, channels: Collection[str]) -> Mapping[str, int]:
        """The numbers up to which the reader has the channels' logs, without channels of which it has nothing."""
        ...


@dataclass(frozen=True, slots=True)
class Batch:
    """Events, and what to store with their effects. May hold no events: then only cursors moved."""

    events: Sequence[Event]
    """Each channel's in order, without a gap but for those that the log does not keep any more."""
    channels: Mapping[str, tuple[int, int]]
    """By channel: the number that must be stored so far, and the one to store now. If another one is stored, store nothing."""
    cursors: Mapping[str, tuple[str, float]]
    """By topic: the cursor, and the time (Unix seconds) up to which the reader has all that was published; 0 if unknown."""


@dataclass(frozen=True, slots=True)
class ReaderOptions:
    """Names one instance of a reader."""

    name: str
    """Identifies the reader; its instances share the topics."""
    kind: str
    """The label of its metrics, from a closed set."""
    consumer: str
    """Unique among the live instances."""
    partitions: int
    tenants: frozenset[str] | None = None
    """Whose events it reads; None for all. The log's `heads` must be of the same tenants."""
    read_events: int = _READ_EVENTS
    """The most events of a batch from the log. Fewer after a batch of more than 1 MiB."""
    measured: bool = True
    """Whether it sets the gauges of its lag: false where several readers of one kind share a process."""


@dataclass(slots=True)
class _Topic:
    """The state of a topic that this instance reads."""

    cursor: str = ""
    read_to: float = 0.0
    since: float = field(default_factory=time.time)
    """When this instance began to read it."""
    stored: tuple[str, float] = ("", 0.0)
    """The cursor and `read_to` of the last batch."""
    lost: bool = False
    """Entries may be missing, and no walk has begun since."""
    walking: bool = False
    """A walk compares its channels."""
    gaps: int = 0
    """Its channels that are behind."""

    @property
    def behind(self) -> bool:
        """Whether events before the cursor are missing, so that it must not be stored."""
        return self.lost or self.walking or self.gaps > 0


class Reader:
    """The iterator of one instance. Ends when `stopping` is set."""

    def __init__(
        self, feed: AsyncIterator[ReadItem], log: Log, store: Store, options: ReaderOptions, stopping: asyncio.Event
    ) -> None:
        self._feed = feed
        self._log = log
        self._store = store
        self._options = options
        self._stopping = stopping
        self._topics: dict[str, _Topic] = {}
        """Topics of which something was received."""
        self._behind: dict[str, int] = {}
        """By channel that is behind: the number up to which its log must be read."""
        self._missing: dict[str, int] = {}
        """By channel that is behind: how many events were missing when that was noticed."""
        self._epoch = ""
        """The store's epoch, as last read."""
        self._room = min(_READ_EVENTS, options.read_events)
        """Events of the next batch from the log."""
        self._walked = ""
        """The id up to which the walk has compared channels."""
        self._logs_turn = False
        """Whether the next batch comes from the log, if there is anything to read."""
        self._next: asyncio.Task[ReadItem] | None = None
        """The next item of the bus."""
        self._stopped = asyncio.ensure_future(stopping.wait())

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Batch:
        while not self._stopping.is_set():
            self._measure()
            reads_log = bool(self._behind) or any(each.lost or each.walking for each in self._topics.values())
            self._logs_turn = reads_log and not self._logs_turn
            batch = await (self._from_log() if self._logs_turn else self._from_bus(wait=not reads_log))
            if batch is not None:
                return batch
        raise StopAsyncIteration

    async def close(self) -> None:
        """Cancel what is in progress."""
        waiting: list[asyncio.Future[Any]] = [each for each in (self._stopped, self._next) if each is not None]
        for each in waiting:
            each.cancel()
        await asyncio.wait(waiting)

    async def _from_bus(self, *, wait: bool) -> Batch | None:
        """The next batch of live events; with `wait`, waits for one."""
        received: list[tuple[ReadItem, Sequence[Event]]] = []
        count = size = 0
        while count < _BATCH_EVENTS and size < _BATCH_BYTES and (item := await self._item(wait=wait and not received)):
            events = await self._decoded(item) if isinstance(item, Delivery) else ()
            received.append((item, events))
            count += len(events)
            size += sum(len(event.payload) for event in events)
        at = dict(await self._store.positions({event.channel for _, events in received for event in events})) if count else {}
        accepted: list[Event] = []
        for item, events in received:
            accepted += self._accepted(item, events, at)
        channels: dict[str, tuple[int, int]] = {}
        for event in accepted:
            before, _ = channels.get(event.channel, (event.seq - 1, 0))
            channels[event.channel] = (before, event.seq)
        metrics.READER_EVENTS.labels(self._options.kind, "bus").inc(len(accepted))
        return self._batch(accepted, channels)

    def _accepted(self, item: ReadItem, events: Sequence[Event], at: dict[str, int]) -> Sequence[Event]:
        """Follow an item; returns those of its events that are the next of their channels."""
        match item:
            case Delivery(topic, _, cursor):
                self._topic(topic).cursor = cursor
                return [event for event in events if self._is_next(topic, event, at)]
            case Current(topic, cursor, read_at):
                state = self._topic(topic)
                state.cursor = cursor
                if not state.behind:
                    state.read_to = read_at
            case Lost(topics, reason):
                for topic in topics:
                    self._topic(topic).lost = True
                level = logging.INFO if reason == "new" else logging.WARNING
                _log.log(level, "reader_lost_entries", reader=self._options.name, reason=reason, topics=len(topics))
            case Gone(topic):
                self._forget(topic)
            case _:
                assert_never(item)
        return ()

    async def _decoded(self, delivery: Delivery) -> Sequence[Event]:
        """The events of a delivery. Those of an epoch that has ended are replaced by what the log has at their numbers."""
        found: list[Event] = []
        for entry in delivery.entries:
            try:
                batch = EventBatch.FromString(entry.payload)
            except DecodeError:  # leaves a gap, which the log fills
                _log.error("reader_entry_unreadable", topic=delivery.topic)
                continue
            if batch.events and batch.epoch != self._epoch:
                self._epoch = await self._log.epoch()
            if batch.events and batch.epoch != self._epoch:
                self._topic(delivery.topic).lost = True
                continue
            found += batch.events
        tenants = self._options.tenants
        return found if tenants is None else [event for event in found if event.tenant in tenants]

    async def _item(self, *, wait: bool) -> ReadItem | None:
        """The next item of the bus; without `wait`, None unless it is there already."""
        if self._next is None:
            self._next = asyncio.ensure_future(anext(self._feed))
        if wait:
            await asyncio.wait([self._next, self._stopped], return_when=asyncio.FIRST_COMPLETED)
        else:
            await asyncio.sleep(0)  # lets it take an item that was read
        if not self._next.done():
            return None
        item, self._next = self._next.result(), None
        return item

    def _is_next(self, topic: str, event: Event, at: dict[str, int]) -> bool:
        """Whether this is the next event of its channel. Moves the position in `at`, and notes a gap."""
        state, channel, position = self._topic(topic), event.channel, at.get(event.channel, 0)
        if channel in self._behind:
            self._behind[channel] = max(self._behind[channel], event.seq)
        elif event.seq == position + 1:
            at[channel] = event.seq
            return True
        elif event.seq > position and not state.lost and not (state.walking and channel > self._walked):
            if len(self._behind) >= _GAPS:
                state.lost = True
            else:
                self._note(channel, state, position, event.seq)
        return False

    def _note(self, channel: str, state: _Topic, position: int, through: int) -> None:
        """Note that a channel is behind."""
        self._behind[channel] = through
        self._missing[channel] = through - position
        state.gaps += 1

    def _caught_up(self, channel: str) -> None:
        if self._behind.pop(channel, None) is not None:
            del self._missing[channel]
            self._topic(self._topic_of(channel)).gaps -= 1

    async def _from_log(self) -> Batch | None:
        """The next batch of what is missing; None while a walk only compares."""
        if self._behind:
            return await self._read()
        if not any(state.walking for state in self._topics.values()):
            self._walked = ""
            for state in self._topics.values():
                state.walking, state.lost = state.lost, False
            metrics.READER_WALKS.labels(self._options.kind).inc()
        await self._walk()
        return None

    async def _walk(self) -> None:
        """Compare a page of channels. Nothing is received from the bus meanwhile, so no event falls between the two."""
        heads = await self._log.heads(self._walked, _PAGE)
        walking = {topic for topic, state in self._topics.items() if state.walking}
        mine = {channel: head for channel, head in heads if self._topic_of(channel) in walking}
        at = await self._store.positions(mine.keys()) if mine else {}
        for channel, head in mine.items():
            if head > at.get(channel, 0):
                self._note(channel, self._topics[self._topic_of(channel)], at.get(channel, 0), head)
        if len(heads) == _PAGE:
            self._walked = heads[-1][0]
            return
        for topic in walking:
            self._topics[topic].walking = False

    async def _read(self) -> Batch | None:
        """Read what some channels are missing."""
        channels = list(islice(self._behind, self._room))
        at = await self._store.positions(channels)
        spans: list[Span] = []
        room = self._room
        for channel in channels:
            after = at.get(channel, 0)
            span = Span(channel, after, min(self._behind[channel], after + room))
            if span.through <= after:
                self._caught_up(channel)
                continue
            spans.append(span)
            room -= span.through - after
            if not room:
                break
        events = await self._log.events(spans) if spans else ()
        for span in spans:
            if span.through >= self._behind[span.channel]:
                self._caught_up(span.channel)
            else:
                self._missing[span.channel] -= span.through - span.after
        if size := sum(len(event.payload) for event in events):
            self._room = min(max(_BATCH_BYTES * len(events) // size, _FEWEST_READ_EVENTS), self._options.read_events)
        metrics.READER_EVENTS.labels(self._options.kind, "log").inc(len(events))
        return self._batch(events, {span.channel: (span.after, span.through) for span in spans})

    def _batch(self, events: Sequence[Event], channels: Mapping[str, tuple[int, int]]) -> Batch | None:
        """The events and positions, with the cursors that moved; None without any."""
        cursors: dict[str, tuple[str, float]] = {}
        for name, state in self._topics.items():
            now = (state.cursor, state.read_to)
            if not state.behind and state.cursor and state.stored != now:
                state.stored = cursors[name] = now
        return Batch(events, channels, cursors) if channels or cursors else None

    def _topic(self, name: str) -> _Topic:
        return self._topics.setdefault(name, _Topic())

    def _topic_of(self, channel: str) -> str:
        return event_topic(partition_of(channel, self._options.partitions)).name

    def _forget(self, topic: str) -> None:
        self._topics.pop(topic, None)
        for channel in [channel for channel in self._behind if self._topic_of(channel) == topic]:
            del self._behind[channel], self._missing[channel]

    def _measure(self) -> None:
        """Record how far the reader is behind, in the topics of this instance."""
        if not self._options.measured:
            return
        oldest = min((state.read_to or state.since for state in self._topics.values()), default=time.time())
        metrics.READER_LAG_SECONDS.labels(self._options.kind).set(max(time.time() - oldest, 0.0))
        metrics.READER_LAG_EVENTS.labels(self._options.kind).set(sum(self._missing.values()))


@asynccontextmanager
async def open_reader(
    bus: Bus, log: Log, store: Store, options: ReaderOptions, stopping: asyncio.Event
) -> AsyncIterator[AsyncIterator[Batch]]:
    """Read as one instance of a reader inside the block. What the log and the store raise ends the iteration."""
    topics = [event_topic(number) for number in range(options.partitions)]
    async with bus.read(topics, options.name, options.consumer, store.cursors) as feed:
        reader = Reader(feed, log, store, options, stopping)
        try:
            yield reader
        finally:
            await reader.close()

"""The bus in this process, for tests. It passes the same contract suite as the Redis implementation.

All members and followers share one `MemoryBus`. A process cannot be paused halfway here, so leases do not expire.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import secrets
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Self

from bus import metrics
from bus.bus import (
    DELIVERY_BYTES,
    LINGER_SECONDS,
    BusFull,
    Current,
    Delivery,
    Entry,
    Gone,
    LoadCursors,
    Lost,
    ReadItem,
    no_linger,
)
from bus.topics import Topic, WhenFull

_ENTRY_OVERHEAD_BYTES = 64
"""Counted for each entry in addition to its payload."""
_CURRENT_SECONDS = 1.0
"""Between two reports to a reader that it is current."""


class MemoryBus:
    """Implements `bus.Bus` in memory."""

    def __init__(self) -> None:
        self._logs: dict[str, _Log] = {}
        self._groups: dict[str, _Group] = {}
        self._readers: dict[str, list[_Instance]] = {}
        """The instances of each reader."""
        self.id = secrets.token_hex(4)
        """Distinguishes the cursors of this bus from those of another one."""
        self._ids = itertools.count(1)
        self.changes = _Changes()
        """Wakes members and followers after each change."""

    async def publish(self, batch: Sequence[tuple[Topic, bytes]]) -> None:
        """Append payloads, each to its topic, in order."""
        by_topic: dict[Topic, list[bytes]] = {}
        for topic, payload in batch:
            by_topic.setdefault(topic, []).append(payload)
        full = {topic for topic, payloads in by_topic.items() if not self._fits(topic, payloads)}
        for topic, payloads in by_topic.items():
            kind = metrics.kind_of(topic.name)
            if topic in full:
                metrics.REFUSED_ENTRIES.labels(kind).inc(len(payloads))
                continue
            log = self.log(topic.name)
            log.append([Entry(str(next(self._ids)), payload) for payload in payloads])
            if topic.when_full is WhenFull.TRIM:
                log.trim(max(topic.bound, len(payloads)))
                while log.size > topic.bound_bytes and len(log.entries) > len(payloads):
                    log.trim(len(log.entries) - 1)
            metrics.PUBLISHED_ENTRIES.labels(kind).inc(len(payloads))
            metrics.PUBLISHED_BYTES.labels(kind).inc(sum(map(len, payloads)))
        self.changes.announce()
        if full:
            raise BusFull(frozenset(topic.name for topic in full))

    def work(self, topics: Sequence[Topic], group: str, consumer: str, *, count: int = 64) -> _Member:
        """Join a group."""
        del consumer
        names = [topic.name for topic in topics]
        return _Member(self, self._groups.setdefault(group, _Group()), names, count)

    def follow(self, topics: Sequence[Topic], *, linger: Callable[[], float] = no_linger) -> _Follower:
        """Read everything published after the block is entered."""
        return _Follower(self, [topic.name for topic in topics], linger)

    def read(self, topics: Sequence[Topic], reader: str, consumer: str, cursors: LoadCursors) -> _Instance:
        """Read as one instance of a reader, from the cursors that it has stored."""
        del consumer
        return _Instance(self, self._readers.setdefault(reader, []), [topic.name for topic in topics], cursors)

    async def ping(self) -> None:
        """Succeed: memory is always available."""

    async def check(self, topics: Sequence[Topic], *, durable: bool, backlog: bool = False) -> None:
        """Succeed, as `ping` does."""
        del topics, durable, backlog

    def close(self) -> None:
        """Do nothing: there is no connection."""

    def wipe(self) -> None:
        """Delete everything, as a real bus may lose it at any time."""
        for log in self._logs.values():
            log.wipe()
        self.changes.announce()

    def trim(self, topic: Topic, keep: int) -> None:
        """Delete all but the newest `keep` entries of a topic, as a real bus does at its bound."""
        self.log(topic.name).trim(keep)
        self.changes.announce()

    def log(self, name: str) -> _Log:
        """Return a topic's entries."""
        return self._logs.setdefault(name, _Log())

    def _fits(self, topic: Topic, payloads: Sequence[bytes]) -> bool:
        log = self.log(topic.name)
        entries, size = len(log.entries) + len(payloads), log.size + sum(map(_size, payloads))
        return topic.when_full is WhenFull.TRIM or (entries <= topic.bound and size <= topic.bound_bytes)


def _size(payload: bytes) -> int:
    return len(payload) + _ENTRY_OVERHEAD_BYTES


class _Changes:
    """Wakes all waiters when something changes."""

    def __init__(self) -> None:
        self._next = asyncio.Event()

    def announce(self) -> None:
        event, self._next = self._next, asyncio.Event()
        event.set()

    async def wait(self) -> None:
        await self._next.wait()

    async def wait_for(self, seconds: float) -> None:
        """Wait at most so long."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._next.wait()


class _Log:
    """A topic's entries, and how many were removed before them."""

    def __init__(self) -> None:
        self.entries: deque[Entry] = deque()
        self.removed = 0
        """Entries trimmed or acknowledged. All were older than the remaining ones."""
        self.size = 0
        """Bytes of the remaining entries, overhead included."""
        self.wipes = 0

    def append(self, entries: Sequence[Entry]) -> None:
        self.entries.extend(entries)
        self.size += sum(_size(entry.payload) for entry in entries)

    def trim(self, keep: int) -> None:
        while len(self.entries) > keep:
            self.size -= _size(self.entries.popleft().payload)
            self.removed += 1

    def wipe(self) -> None:
        self.entries.clear()
        self.removed = self.size = 0
        self.wipes += 1

    def end(self) -> int:
        return self.removed + len(self.entries)


class _Group:
    """The members of a group and their outstanding deliveries."""

    def __init__(self) -> None:
        self.members: list[_Member] = []
        self.outstanding: dict[str, tuple[_Member, Delivery]] = {}
        """By topic. The topic stays with that member until the delivery is completed or released."""

    def may_deliver(self, member: _Member, topic: str, index: int) -> bool:
        """Return whether the topic, at `index` in the group's list, is the member's and has no outstanding delivery."""
        return topic not in self.outstanding and self.members[index % len(self.members)] is member

    def leave(self, member: _Member) -> None:
        self.members.remove(member)
        self.outstanding = {topic: held for topic, held in self.outstanding.items() if held[0] is not member}


class _Member:
    """The context manager and iterator of one member."""

    def __init__(self, bus: MemoryBus, group: _Group, topics: Sequence[str], count: int) -> None:
        self._bus = bus
        self._group = group
        self._turns = deque(enumerate(topics))
        """Topics with their index, the least recently tried first."""
        self._count = count

    async def __aenter__(self) -> Self:
        self._group.members.append(self)
        self._bus.changes.announce()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._group.leave(self)
        self._bus.changes.announce()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Delivery:
        while (delivery := self._next()) is None:
            await self._bus.changes.wait()
        self._group.outstanding[delivery.topic] = (self, delivery)
        metrics.DELIVERED_ENTRIES.labels(metrics.kind_of(delivery.topic), "work").inc(len(delivery.entries))
        return delivery

    async def complete(self, deliveries: Sequence[Delivery], batch: Sequence[tuple[Topic, bytes]] = ()) -> None:
        """Publish, then remove the entries from their topics."""
        await self._bus.publish(batch)
        for delivery in deliveries:
            log = self._bus.log(delivery.topic)
            done = {entry.id for entry in delivery.entries}
            while log.entries and log.entries[0].id in done:
                log.trim(len(log.entries) - 1)
            await self.release(delivery)

    async def release(self, delivery: Delivery) -> None:
        """Make the topic available again, from its oldest entry."""
        if self._group.outstanding.get(delivery.topic) == (self, delivery):
            del self._group.outstanding[delivery.topic]
            self._bus.changes.announce()

    def _next(self) -> Delivery | None:
        for _ in range(len(self._turns)):
            index, topic = self._turns[0]
            self._turns.rotate(-1)
            entries = self._bus.log(topic).entries
            if entries and self._group.may_deliver(self, topic, index):
                return Delivery(topic, list(_within_bounds(entries, self._count)))
        return None


def _within_bounds(entries: Iterable[Entry], count: int) -> Iterator[Entry]:
    """The first entries, of a delivery at most."""
    room = DELIVERY_BYTES
    for number, entry in enumerate(itertools.islice(entries, count)):
        room -= len(entry.payload)
        if number and room < 0:
            return
        yield entry


class _Follower:
    """The context manager and iterator of one follower."""

    def __init__(self, bus: MemoryBus, topics: Sequence[str], linger: Callable[[], float]) -> None:
        self._bus = bus
        self._linger = linger
        self._positions = dict.fromkeys(topics, (0, 0))
        """By topic: the log's `wipes` counter, and entries seen since the last wipe."""
        self._ready: deque[Delivery | Lost] = deque()

    async def __aenter__(self) -> Self:
        for topic in self._positions:
            log = self._bus.log(topic)
            self._positions[topic] = (log.wipes, log.end())
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Delivery | Lost:
        if not self._ready and (pause := min(self._linger(), LINGER_SECONDS)):
            await asyncio.sleep(pause)
        while not self._ready:
            for topic in self._positions:
                self._read(topic)
            if not self._ready:
                await self._bus.changes.wait()
        return self._ready.popleft()

    def _read(self, topic: str) -> None:
        log = self._bus.log(topic)
        wipes, seen = self._positions[topic]
        reason = "wiped" if log.wipes != wipes else "trimmed" if log.removed > seen else None
        if reason:
            metrics.LOST.labels(reason).inc()
            self._ready.append(Lost((topic,), reason))
            seen = log.removed
        entries = list(itertools.islice(log.entries, seen - log.removed, None))
        if entries:
            metrics.DELIVERED_ENTRIES.labels(metrics.kind_of(topic), "follow").inc(len(entries))
            self._ready.append(Delivery(topic, entries))
        self._positions[topic] = (log.wipes, log.end())


class _Instance:
    """The context manager and iterator of one instance of a reader."""

    def __init__(self, bus: MemoryBus, instances: list[_Instance], topics: Sequence[str], cursors: LoadCursors) -> None:
        self._bus = bus
        self._instances = instances
        """All instances of the reader, this one included."""
        self._topics = topics
        self._cursors = cursors
        self._positions: dict[str, tuple[int, int]] = {}
        """By topic of this instance: as in `_Follower`."""
        self._report_at = 0.0
        """`time.monotonic` of the next reports that topics are read completely."""
        self._ready: deque[ReadItem] = deque()

    async def __aenter__(self) -> Self:
        self._instances.append(self)
        self._bus.changes.announce()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._instances.remove(self)
        self._bus.changes.announce()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> ReadItem:
        await self._share()
        while not self._ready:
            self._read()
            if not self._ready:
                await self._bus.changes.wait_for(_CURRENT_SECONDS)
                await self._share()
        return self._ready.popleft()

    async def _share(self) -> None:
        """Take this instance's share of the topics, and give up the others."""
        rank = self._instances.index(self)
        mine = [topic for index, topic in enumerate(self._topics) if index % len(self._instances) == rank]
        for topic in [topic for topic in self._positions if topic not in mine]:
            del self._positions[topic]
            self._ready = deque(item for item in self._ready if isinstance(item, Lost) or item.topic != topic)
            self._ready.append(Gone(topic))
        taken = [topic for topic in mine if topic not in self._positions]
        cursors = await self._cursors(taken) if taken else {}
        for topic in taken:
            self._start(topic, cursors.get(topic, ""))

    def _start(self, topic: str, cursor: str) -> None:
        log = self._bus.log(topic)
        origin, _, seen = cursor.rpartition("/")
        reason = "new" if not cursor else "wiped" if origin != f"{self._bus.id}/{log.wipes}" else ""
        self._positions[topic] = (log.wipes, log.end() if reason else int(seen))
        if reason:
            self._lose(topic, reason)

    def _read(self) -> None:
        """Queue what the topics hold after the positions, and once a second report that they are read completely."""
        now = time.monotonic()
        reports = now >= self._report_at
        if reports:
            self._report_at = now + _CURRENT_SECONDS
        for topic, (wipes, seen) in self._positions.items():
            log = self._bus.log(topic)
            reason = "wiped" if log.wipes != wipes else "trimmed" if log.removed > seen else ""
            if reason:
                self._lose(topic, reason)
                seen = log.removed  # noqa: PLW2901
            entries = list(itertools.islice(log.entries, seen - log.removed, None))
            self._positions[topic] = (log.wipes, log.end())
            cursor = f"{self._bus.id}/{log.wipes}/{log.end()}"
            if entries:
                metrics.DELIVERED_ENTRIES.labels(metrics.kind_of(topic), "read").inc(len(entries))
                self._ready.append(Delivery(topic, entries, cursor))
            if reports:
                self._ready.append(Current(topic, cursor, time.time()))

    def _lose(self, topic: str, reason: str) -> None:
        metrics.LOST.labels(reason).inc()
        self._ready.append(Lost((topic,), reason))

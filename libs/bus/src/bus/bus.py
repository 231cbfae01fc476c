"""The bus interface: topics that keep their order, with three ways to read them, *work*, *follow* and *read*.

Every implementation guarantees the following. The contract suite in `tests/` checks each point.

- A topic delivers its entries in the order in which the bus accepted them.
- *work* divides topics among the members of a group. Each topic belongs to one member at a time. An entry is delivered until it
  is acknowledged: at least once. A member that dies, or is paused for longer than its lease, loses its topics to the other
  members, which start with the entries it left unacknowledged. A paused member may wake up beside its successor, so effects
  must be idempotent.
- *follow* gives every follower every entry published after it began. When entries may have been missed (trimmed, wiped, or
  the bus was unreachable for longer than it retains entries), the follower receives `Lost` instead of a silent gap.
- *read* gives a named reader every entry after a cursor that the reader keeps in its own store. The instances of a reader
  share the topics by leases, as the members of a group do, but entries stay for other readers. A reader that may have missed
  entries, or has no cursor yet, receives `Lost`. `bus.reader` makes a gap-free stream of log events out of this.
- Nothing is durable. The bus may lose its contents at any time and reports that with `Lost` as soon as it notices.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from bus.topics import Topic

DELIVERY_BYTES = 1024 * 1024
"""The most that a member's delivery holds, unless its first entry is larger."""
WORK_BYTES = 16 * DELIVERY_BYTES
"""The most that the deliveries of all topics of a member hold: a member of more than 16 topics gets smaller deliveries."""
FOLLOW_BYTES = 4 * 1024 * 1024
"""The most that a follower that is behind reads at once, unless the first entry is larger."""


LINGER_SECONDS = 0.05
"""The longest that a follower lets entries gather."""


def no_linger() -> float:
    """Read again at once."""
    return 0.0


class BusError(Exception):
    """The bus did not carry out the operation."""


class BusUnavailable(BusError):
    """The bus did not answer. It may or may not have accepted the entries."""


class BusUnfit(BusError):
    """The server cannot carry the topics. The message names the cause and the cure."""


class BusFull(BusError):
    """These topics were at their bound and accepted nothing of the batch. All other topics accepted their entries."""

    def __init__(self, topics: frozenset[str]) -> None:
        super().__init__(", ".join(sorted(topics)))
        self.topics = topics


@dataclass(frozen=True, slots=True)
class Entry:
    """One payload on a topic."""

    id: str
    """Opaque; unique within the topic."""
    payload: bytes


@dataclass(frozen=True, slots=True)
class Delivery:
    """Some entries of one topic, in order."""

    topic: str
    entries: list[Entry]
    cursor: str = ""
    """Where a reader continues after these entries; opaque. Empty for members and followers."""


@dataclass(frozen=True, slots=True)
class Lost:
    """Entries of these topics may have been missed. The follower must compare its state with the database."""

    topics: tuple[str, ...]
    reason: str
    """trimmed, wiped or disconnected; for a reader without a cursor: new."""


@dataclass(frozen=True, slots=True)
class Current:
    """A reader has every entry that the topic had at that moment. Reported about once a second while it lasts."""

    topic: str
    cursor: str
    """As `Delivery.cursor`."""
    at: float
    """Unix seconds."""


@dataclass(frozen=True, slots=True)
class Gone:
    """The topic now belongs to another instance of the reader, or its lease expired."""

    topic: str


ReadItem = Delivery | Lost | Current | Gone
LoadCursors = Callable[[Sequence[str]], Awaitable[Mapping[str, str]]]
"""Returns the stored cursors of topics, by name. A topic without one is missing from the answer."""


class Work(Protocol):
    """One member's share of a group's topics."""

    def __aiter__(self) -> AsyncIterator[Delivery]:
        """Iterate over deliveries. A topic's next delivery comes only after the previous one was completed or released."""
        ...

    async def complete(self, deliveries: Sequence[Delivery], batch: Sequence[tuple[Topic, bytes]] = ()) -> None:
        """Publish the results, then acknowledge the deliveries, in one round trip.

        Acknowledged entries leave the topic and are not delivered again. Completing is harmless when the topic has moved to
        another member. Raises `BusFull` and `BusUnavailable` as `publish` does. The deliveries then count as unacknowledged,
        and the caller must still complete or release them.
        """
        ...

    async def release(self, delivery: Delivery) -> None:
        """Return a delivery without acknowledging it. The same entries are redelivered at once, before any later entry.

        Release does not wait: a caller that wants to back off does so before releasing.
        """
        ...


class Bus(Protocol):
    """A message bus. Every call has its own deadline and raises `BusUnavailable` when it passes."""

    async def publish(self, batch: Sequence[tuple[Topic, bytes]]) -> None:
        """Append payloads, each to its topic, in order, in one round trip.

        Successive calls keep their order even when the caller does not await the first before making the second.
        Raises `BusUnavailable`, and `BusFull` when refusing topics are at their bound (all other topics accepted theirs).
        """
        ...

    def work(self, topics: Sequence[Topic], group: str, consumer: str, *, count: int = 64) -> AbstractAsyncContextManager[Work]:
        """Join a group. A delivery has at most `count` entries. Leaving the block releases the topics at once.

        All deliveries together hold at most `WORK_BYTES`, and each at least one entry.
        No two live processes may use the same `consumer` name. A restarted consumer takes over its predecessor's topics at once.
        A topic has one group, because acknowledging removes its entries for everyone. Failures of the bus neither prevent
        joining nor end the iteration.
        """
        ...

    def follow(
        self, topics: Sequence[Topic], *, linger: Callable[[], float] = no_linger
    ) -> AbstractAsyncContextManager[AsyncIterator[Delivery | Lost]]:
        """Read everything published after the block is entered. Entering raises `BusUnavailable`.

        Failures of the bus never end the iteration. It resumes, with `Lost` if entries may be missing.

        `linger` is called when everything that was read has been handed on. It returns for how many seconds, at most
        `LINGER_SECONDS`, entries may gather before the next read: a read costs thirty times as much as an entry.
        """
        ...

    def read(
        self, topics: Sequence[Topic], reader: str, consumer: str, cursors: LoadCursors
    ) -> AbstractAsyncContextManager[AsyncIterator[ReadItem]]:
        """Read as one instance of a reader, from the cursors that it has stored; leaving the block releases the topics at once.

        `cursors` is called for topics that this instance has just been given; what it raises ends the iteration.
        A topic without a cursor, or with one of another data set, starts with `Lost` and continues with what is published from
        then on. After `Gone` nothing more of that topic arrives, unless it is given to this instance again.
        An instance that was paused may overlap with its successor for a moment, so the reader's store must refuse the second
        of two commits. Failures of the bus never end the iteration. No two live instances may have the same `consumer` name.
        Entries gather for `LINGER_SECONDS` between two reads, because each read becomes a transaction of the reader's store.
        """
        ...

    async def ping(self) -> None:
        """Raise `BusUnavailable` unless the bus answers."""
        ...

    async def check(self, topics: Sequence[Topic], *, durable: bool, backlog: bool = False) -> None:
        """Raise `BusUnavailable` unless the bus accepts entries, and `BusUnfit` unless it can hold these topics at their bounds.

        `durable`: the bus must keep its data over a restart. `backlog`: record the age of the oldest entry of the topics that
        refuse when full.
        """
        ...

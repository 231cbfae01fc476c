"""The bus, without saying which: two verbs, *work* and *follow*, over topics that keep their order.

What a caller may rely on, whichever implementation is behind (the contract suite in `tests/` says the same in code):

- Entries of one topic are delivered in the order in which the bus took them.
- *work*: a group's members share the topics, each topic belonging to one member at a time. An entry is delivered until it
  is acknowledged, so at least once. A member that dies, or is paused for longer than its lease, loses its topics to
  the others, which start with what it left unacknowledged. A paused member may wake up beside its successor: effects must
  be idempotent.
- *follow*: every follower sees every entry published after it began, unless the topic was trimmed or wiped in between, or the
  bus was out of reach for longer than it remembers. Then the follower gets `Lost`, never a silent hole.
- Nothing here is durable: the bus may lose everything at any time. It says so (`Lost`) as soon as it notices.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from bus.topics import Topic


class BusError(Exception):
    """The bus did not do it."""


class BusUnavailable(BusError):
    """The bus does not answer; whether entries were taken is not known."""


class BusFull(BusError):
    """Topics that refuse at their bound are at it: nothing of the batch was taken for these, everything for the others."""

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


@dataclass(frozen=True, slots=True)
class Lost:
    """Entries of these topics may have been missed: whoever follows must compare with the truth."""

    topics: tuple[str, ...]
    reason: str
    """trimmed, wiped or disconnected."""


class Work(Protocol):
    """One member's share of a group's topics."""

    def __aiter__(self) -> AsyncIterator[Delivery]:
        """Deliveries; the next of a topic comes only after the former was completed or released."""
        ...

    async def complete(self, deliveries: Sequence[Delivery], batch: Sequence[tuple[Topic, bytes]] = ()) -> None:
        """The effect has happened: publish what came of it and acknowledge the deliveries, in this order, in one round trip.

        Acknowledged entries are not delivered again (and leave the topic); harmless when the topic belongs to somebody else by
        now. Raises `BusFull` and `BusUnavailable` as publishing does: then they are not acknowledged, as far as is known, and
        are still the caller's, to be completed or released.
        """
        ...

    async def release(self, delivery: Delivery) -> None:
        """The effect could not happen: the same entries come again, at once, before any later one of the topic.

        The pause, where the cause needs one, is the caller's.
        """
        ...


class Bus(Protocol):
    """A message bus. Every call has a deadline of its own and raises `BusUnavailable` past it."""

    async def publish(self, batch: Sequence[tuple[Topic, bytes]]) -> None:
        """Append payloads, each to its topic, in order, in one round trip.

        Calls made one after another keep their order, also when the former was not awaited to its end.
        Raises `BusFull` when refusing topics are at their bound (the payloads for all others were taken), `BusUnavailable`.
        """
        ...

    def work(self, topics: Sequence[Topic], group: str, consumer: str, *, count: int = 64) -> AbstractAsyncContextManager[Work]:
        """Take part in a group; at most `count` entries a delivery. Leaving hands the topics over at once.

        A consumer is a name that no other living process uses: one that comes back takes over at once what it held when it died.
        A topic has one group: acknowledging takes its entries away for all. Trouble with the bus neither prevents entering nor
        ends the iteration.
        """
        ...

    def follow(self, topics: Sequence[Topic]) -> AbstractAsyncContextManager[AsyncIterator[Delivery | Lost]]:
        """See everything published after the block is entered. Entering raises `BusUnavailable`.

        Trouble with the bus never ends the iteration: it goes on, with `Lost` if anything may be missing.
        """
        ...

    async def ping(self) -> None:
        """Raise `BusUnavailable` unless the bus answers."""
        ...

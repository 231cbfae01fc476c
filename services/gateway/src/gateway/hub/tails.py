"""Keeps the newest events of local channels as clients receive them, within a bound of bytes, so that a resume needs no store.

A channel's tail has no gaps and ends at the channel's head. `hub` adds each event that it delivers, and `missed` puts what it
read from the store before that. The tail that is least recently used goes first.

A deletion erases text from earlier entries of the log, so it ends the tail: nothing older than the deletion is served from
memory, and what is being read from the store meanwhile is not kept. The erasure of a user ends all tails in the same way.
"""

from __future__ import annotations

from collections.abc import Sequence

from gateway.model import Channel, Shown

BYTES = 32 * 1024 * 1024
"""Of all tails."""
CHANNEL_BYTES = 512 * 1024
"""Of one tail."""
EVENT_BYTES = 200
"""What an event takes besides its payloads."""


class Tail:
    """The newest events of one channel, oldest first: at least one."""

    __slots__ = ("events", "size")

    def __init__(self) -> None:
        self.events: list[Shown] = []
        self.size = 0
        """Bytes."""


class Tails:
    """The tails of all channels."""

    def __init__(self, most_bytes: int = BYTES) -> None:
        self._most_bytes = most_bytes
        self._tails: dict[Channel, Tail] = {}
        """Least recently used first."""
        self.size = 0
        """Bytes of all tails."""
        self.cleared = 0
        """How often all tails were dropped."""

    def of(self, channel: Channel) -> Tail | None:
        """The channel's present tail, if it has one. After an erasure or an eviction it is another one."""
        return self._tails.get(channel)

    def add(self, channel: Channel, event: Shown, *, erases: bool) -> None:
        """Add the event that was just delivered; `erases` if entries before it have lost their text."""
        if erases:
            self.forget(channel)
        tail = self._used(channel)
        tail.events.append(event)
        self._grow(tail, _size(event))

    def extend_back(self, channel: Channel, tail: Tail | None, cleared: int, events: Sequence[Shown]) -> None:
        """Put consecutive events before the tail where they join it.

        When the read from the store began, `tail` was the channel's and all had been dropped `cleared` times. The events are
        kept only if that is still so.
        """
        if self._tails.get(channel) is not tail or self.cleared != cleared:
            return
        if not channel.accounts:  # the hub has dropped it
            return
        first = tail.events[0].seq if tail else channel.head + 1
        older = [event for event in events if event.seq < first]
        if older and older[-1].seq == first - 1:
            tail = self._used(channel)
            tail.events[:0] = older
            self._grow(tail, sum(map(_size, older)))

    def holds(self, channel: Channel, position: int, through: int) -> bool:
        """Whether the tail has all events numbered in (position, through]."""
        tail = self._tails.get(channel)
        return tail is not None and tail.events[0].seq <= position + 1 and through <= tail.events[-1].seq

    def after(self, channel: Channel, position: int, through: int) -> Sequence[Shown] | None:
        """The events numbered in (position, through]; None if the tail does not hold them all."""
        if not self.holds(channel, position, through):
            return None
        events = self._tails[channel].events
        first = events[0].seq
        return events[position + 1 - first : through + 1 - first]

    def forget(self, channel: Channel) -> None:
        """Drop the channel's tail."""
        tail = self._tails.pop(channel, None)
        if tail is not None:
            self.size -= tail.size

    def clear(self) -> None:
        """Drop every tail."""
        self._tails.clear()
        self.size = 0
        self.cleared += 1

    def _used(self, channel: Channel) -> Tail:
        tail = self._tails.pop(channel, None) or Tail()
        self._tails[channel] = tail
        return tail

    def _grow(self, tail: Tail, size: int) -> None:
        tail.size += size
        self.size += size
        if tail.size > CHANNEL_BYTES:
            self._shorten(tail)
        while self.size > self._most_bytes:
            self.forget(next(iter(self._tails)))

    def _shorten(self, tail: Tail) -> None:
        """Drop the oldest events, until a quarter of the bound is free: an event at a time would move the others each time."""
        dropped = freed = 0
        while tail.size - freed > CHANNEL_BYTES * 3 // 4:
            freed += _size(tail.events[dropped])
            dropped += 1
        del tail.events[:dropped]
        tail.size -= freed
        self.size -= freed


def _size(event: Shown) -> int:
    return len(event.payload) + len(event.hidden) + EVENT_BYTES

"""What was last written to one connection, so that its session can go on where its client stopped receiving.

The writer adds what it writes, as marks that all connections with the same bytes share. An answered heartbeat proves that its
client has what was written before.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

MOST_CHUNKS = 1_024
"""Writes that are kept; of more, the older half is dropped."""


class Kind(IntEnum):
    """What a frame tells about a channel."""

    EVENT = 0
    JOINED = 1
    LEFT = 2


class Mark(NamedTuple):
    """A frame about a channel."""

    channel: str
    seq: int
    """Of the event, or from which a gained channel starts; 0 for a lost one."""
    kind: Kind = Kind.EVENT

    @property
    def offset(self) -> str:
        """How a client names an event that it has received."""
        return f"{self.channel}:{self.seq}"


class Trail:
    """The marks of one connection."""

    __slots__ = ("_chunks", "_pinged", "catching_named", "lasts")

    def __init__(self, *lasts: str | None) -> None:
        self.lasts = lasts
        """Offsets by which the client names the moment before the first mark; None stands for a client that has none."""
        self._chunks: list[tuple[Mark, ...]] = []
        """The marks of each write."""
        self._pinged = 0
        """How many of the chunks were written before the last ping."""
        self.catching_named = False
        """A `sync` with the client's own positions is being answered: where its channels stand is not known here."""

    @property
    def marks(self) -> list[Mark]:
        """All marks, oldest first."""
        return [mark for chunk in self._chunks for mark in chunk]

    def add(self, marks: tuple[Mark, ...]) -> None:
        """Marks were written."""
        self._chunks.append(marks)
        if len(self._chunks) > MOST_CHUNKS:
            self._drop(MOST_CHUNKS // 2)

    def pinged(self) -> None:
        """A ping is about to be written."""
        self._pinged = len(self._chunks)

    def confirmed(self) -> None:
        """The client has answered the ping."""
        self._drop(self._pinged)

    def forget(self) -> None:
        """Forget what was written: what follows is older, because the client asked for it."""
        if self._chunks:
            self._chunks.clear()
            self.lasts, self._pinged = (), 0

    def _drop(self, count: int) -> None:
        events = [mark for chunk in self._chunks[:count] for mark in chunk if mark.kind is Kind.EVENT]
        if events:
            self.lasts = (events[-1].offset,)
        del self._chunks[:count]
        self._pinged = max(0, self._pinged - count)

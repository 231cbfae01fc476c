"""Names every topic of the bus, its bounds, and the rule that puts a channel on a partition.

The bounds add up to 40 MiB a partition, 8 MiB a gateway and 32 MiB besides: what the server's memory must exceed.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from enum import Enum
from functools import cache


class WhenFull(Enum):
    """What a topic does at its bound."""

    REFUSE = "refuse"
    """Publishing raises `BusFull`: what waits for work must not be thrown away."""
    TRIM = "trim"
    """The oldest entries go, a few more than must: followers that fell behind are told with `Lost`."""


_MEBIBYTE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Topic:
    """One ordered stream of entries."""

    name: str
    bound: int
    """Entries (batches) it holds at most."""
    when_full: WhenFull
    idle_seconds: int = 0
    """Forgotten when nobody has published or followed for so long; 0 never."""
    bound_bytes: int = 16 * _MEBIBYTE
    """Bytes it holds at most, a small allowance per entry included; a trimming topic keeps its newest batch in any case."""

    def __hash__(self) -> int:
        return hash(self.name)


@cache
def commands(partition: int) -> Topic:
    """Work for the messages workers, one consumer each."""
    return Topic(f"commands.{partition}", 10_000, WhenFull.REFUSE, bound_bytes=24 * _MEBIBYTE)


@cache
def events(partition: int) -> Topic:
    """What happened, followed by every gateway."""
    return Topic(f"events.{partition}", 20_000, WhenFull.TRIM)


def replies(gateway: str) -> Topic:
    """Outcomes of one gateway's commands that made no new event."""
    return Topic(f"replies.{gateway}", 10_000, WhenFull.TRIM, idle_seconds=300, bound_bytes=8 * _MEBIBYTE)


def revocations() -> Topic:
    """Decisions about users, followed by every gateway."""
    return Topic("revocations", 10_000, WhenFull.TRIM)


def rejected() -> Topic:
    """Poison set aside by the workers, for people to look at."""
    return Topic("rejected", 1_000, WhenFull.TRIM)


def partition_of(channel: str, partitions: int) -> int:
    """The partition of a channel: everything about one channel takes one way, so that it keeps its order."""
    return zlib.crc32(channel.encode()) % partitions

"""Defines every topic of the bus with its bounds, and assigns channels to partitions.

The bounds add up to 40 MiB per partition, 8 MiB per gateway and 32 MiB for the rest. The server needs more memory than that.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from enum import Enum
from functools import cache


class WhenFull(Enum):
    """What a topic does at its bound."""

    REFUSE = "refuse"
    """Publishing raises `BusFull`, so that pending work is never discarded."""
    TRIM = "trim"
    """The oldest entries are trimmed, up to 1/256 more than needed. Followers that fell behind receive `Lost`."""


_MEBIBYTE = 1024 * 1024
ENTRY_BYTES = 320 * 1024
"""Publishers close an entry that has reached 256 KiB, so it is seldom larger than this."""


@dataclass(frozen=True, slots=True)
class Topic:
    """One ordered stream of entries."""

    name: str
    bound: int
    """Maximum number of entries (batches)."""
    when_full: WhenFull
    idle_seconds: int = 0
    """The topic is deleted after this long without a publish or a follower; 0 means never."""
    bound_bytes: int = 16 * _MEBIBYTE
    """Maximum bytes, including 64 per entry of overhead. A trimming topic always keeps its newest batch."""

    def __hash__(self) -> int:
        return hash(self.name)


@cache
def commands(partition: int) -> Topic:
    """Commands for the messages workers; each partition has one consumer."""
    return Topic(f"commands.{partition}", 10_000, WhenFull.REFUSE, bound_bytes=24 * _MEBIBYTE)


@cache
def events(partition: int) -> Topic:
    """Channel events, followed by every gateway."""
    return Topic(f"events.{partition}", 20_000, WhenFull.TRIM)


def replies(gateway: str) -> Topic:
    """Outcomes of a gateway's commands that produced no new event."""
    return Topic(f"replies.{gateway}", 10_000, WhenFull.TRIM, idle_seconds=300, bound_bytes=8 * _MEBIBYTE)


def revocations() -> Topic:
    """Revocations and blocks of users, followed by every gateway."""
    return Topic("revocations", 10_000, WhenFull.TRIM)


def rejected() -> Topic:
    """Commands that the workers could not read or process, kept for operators to inspect."""
    return Topic("rejected", 1_000, WhenFull.TRIM)


def partition_of(channel: str, partitions: int) -> int:
    """Return the partition of a channel. A channel has one partition, which keeps its commands and events in order."""
    return zlib.crc32(channel.encode()) % partitions

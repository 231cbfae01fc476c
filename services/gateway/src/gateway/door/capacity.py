"""Bounds the connections of this gateway, so that descriptors are left for the ops port, the bus and the services.

At the limit, a new connection takes the place of the one that has waited longest for another request. Without such a one it is
refused with 503, except for the probes. A few more than the limit are accepted for that purpose;
beyond those, a connection is answered and closed at once.
"""

from __future__ import annotations

import enum
import time
from collections.abc import Callable
from typing import Protocol

import structlog

from gateway.config import most_connections

log = structlog.get_logger()
CROWDED_SECONDS = 5.0
"""For which the gateway is full after its descriptors ran short."""
LOG_SECONDS = 60.0
"""Between two lines about it."""


class Room(enum.Enum):
    """What there is room for on a new connection."""

    ALL = enum.auto()
    PROBES = enum.auto()
    NOTHING = enum.auto()


class Evictable(Protocol):
    """A connection that waits for another request."""

    def evict(self) -> None:
        """Close it."""


class Capacity:
    """The connections of this gateway against their limit."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._spare = 16 + limit // 16
        """Connections beyond the limit, for the probes."""
        self._last_descriptor = most_connections()
        self._crowded_until = self._quiet_until = 0.0
        self._counts: list[Callable[[], int]] = []
        self._idle: dict[Evictable, None] = {}
        """Connections that wait for another request, in the order in which they began to wait."""

    def count(self, *counts: Callable[[], int]) -> None:
        """Add functions that return a number of open connections."""
        self._counts += counts

    @property
    def open(self) -> int:
        """Connections open now."""
        return sum(count() for count in self._counts)

    @property
    def full(self) -> bool:
        """Whether the next connection is refused."""
        return self.open - len(self._idle) >= self.limit or time.monotonic() < self._crowded_until

    def idle(self, connection: Evictable) -> None:
        """The connection waits for another request: it may be closed in favour of a new one."""
        self._idle[connection] = None

    def busy(self, connection: Evictable) -> None:
        """The connection has a request, or has ended."""
        self._idle.pop(connection, None)

    def room(self, descriptor: int) -> Room:
        """What a new connection, already counted, may ask. The kernel gives the lowest free descriptor: a high one means few."""
        number, now = self.open, time.monotonic()
        crowded = descriptor >= self._last_descriptor
        if crowded:
            self._crowded_until = now + CROWDED_SECONDS
        if not crowded and (number <= self.limit or self._evict()):
            return Room.ALL
        if now >= self._quiet_until:
            self._quiet_until = now + LOG_SECONDS
            log.error("connections_full", limit=self.limit, open=number)
        return Room.NOTHING if crowded or number > self.limit + self._spare else Room.PROBES

    def _evict(self) -> bool:
        """Close the connection that has been idle for longest; return whether there was one."""
        oldest = next(iter(self._idle), None)
        if oldest is None:
            return False
        del self._idle[oldest]
        oldest.evict()
        return True

"""Bounds the connections of this gateway, so that descriptors are left for the ops port, the bus and the services.

Connections beyond the limit are refused with 503, except for the probes. A few more than the limit are accepted for that purpose;
beyond those, a connection is answered and closed at once.
"""

from __future__ import annotations

from collections.abc import Callable

import structlog

from gateway.config import most_connections

log = structlog.get_logger()
_RELAXED = 0.9
"""Below this share of the limit, the gateway has recovered and logs the next overload again."""


class Capacity:
    """The connections of this gateway against their limit."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._spare = 16 + limit // 16
        self._last_descriptor = most_connections()
        self._counts: list[Callable[[], int]] = []
        self._logged = False

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
        return self.open >= self.limit

    def overrun(self, descriptor: int) -> bool:
        """Whether a connection accepted as `descriptor` must be closed at once. The kernel gives the lowest free number."""
        return descriptor >= self._last_descriptor or self.open > self.limit + self._spare

    def exceeded(self) -> bool:
        """Whether the newest connection, already counted, is one too many. Logs the first of an overload."""
        number = self.open
        if number > self.limit and not self._logged:
            self._logged = True
            log.error("connections_full", limit=self.limit)
        elif number < self.limit * _RELAXED:
            self._logged = False
        return number > self.limit

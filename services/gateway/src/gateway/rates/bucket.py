"""A token bucket that also distinguishes a flood from a burst.

Each connection has one; `rates.shared` keeps them by user and by address.
"""

from __future__ import annotations

import time
from collections.abc import Callable

FLOOD_SECONDS = 10
"""Seconds of sending at twice the limit or more after which a connection is closed."""


class Bucket:
    """A token bucket."""

    __slots__ = ("_above", "_burst", "_clock", "_hot", "_offered", "_rate", "_second", "_stamp", "_tokens")

    def __init__(self, rate: float, burst: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        """Tokens per second."""
        self._burst = burst
        """Maximum of tokens."""
        self._clock = clock
        self._tokens = burst
        self._stamp = clock()
        """The time of `_tokens`."""
        self._second = int(self._stamp)
        """The second being counted."""
        self._offered = 0.0
        """Tokens requested in this second, granted or not."""
        self._hot = 0
        """Number of past seconds with twice the rate requested."""
        self._above = 0.0
        """Tokens requested beyond twice the rate, at most a second's worth: they make up for a short pause only."""

    def take(self, cost: float) -> float:
        """Take tokens. Return 0 if granted, otherwise the seconds until they are available."""
        now = self._clock()
        self._count(int(now), cost)
        self._tokens = min(self._burst, self._tokens + (now - self._stamp) * self._rate)
        self._stamp = now
        if self._tokens >= cost:
            self._tokens -= cost
            return 0.0
        return (cost - self._tokens) / self._rate

    def spend(self, cost: float) -> None:
        """Take tokens that were granted elsewhere, even if that makes a debt of up to a burst."""
        self._tokens = max(-self._burst, self._tokens - cost)

    @property
    def flooding(self) -> bool:
        """Whether twice the rate was requested for `FLOOD_SECONDS`."""
        return self._hot >= FLOOD_SECONDS

    def _count(self, second: int, cost: float) -> None:
        if second != self._second:
            passed, flood = second - self._second, 2 * self._rate
            self._above = min(self._above + self._offered - flood, flood) - flood * (passed - 1)
            self._hot = self._hot + passed if self._above >= 0 else 0
            self._above = max(self._above, 0.0)
            self._second, self._offered = second, 0.0
        self._offered += cost

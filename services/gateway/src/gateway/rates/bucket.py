"""How much one socket may send: a token bucket, and the count that tells a flood from a burst.

This one is keyed on the socket, which nobody can choose; what a user or an address may is `allowance`'s.
"""

from __future__ import annotations

import time
from collections.abc import Callable

FLOOD_SECONDS = 10
"""Seconds of sending at twice the limit or more that end a socket with 4004."""


class Bucket:
    """What one socket may still send."""

    __slots__ = ("_above", "_burst", "_clock", "_hot", "_offered", "_rate", "_second", "_stamp", "_tokens")

    def __init__(self, rate: float, burst: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        """Tokens a second."""
        self._burst = burst
        """Tokens at most."""
        self._clock = clock
        self._tokens = burst
        self._stamp = clock()
        """When `_tokens` was true."""
        self._second = int(self._stamp)
        """The second being counted."""
        self._offered = 0.0
        """What was asked for in it, granted or not."""
        self._hot = 0
        """Seconds before it over which twice the rate was asked for."""
        self._above = 0.0
        """What was asked for beyond that; a second's worth at most, so that only a short pause is made up for."""

    def take(self, cost: float) -> float:
        """Take tokens: 0 when granted, else the seconds after which they will be there."""
        now = self._clock()
        self._count(int(now), cost)
        self._tokens = min(self._burst, self._tokens + (now - self._stamp) * self._rate)
        self._stamp = now
        if self._tokens >= cost:
            self._tokens -= cost
            return 0.0
        return (cost - self._tokens) / self._rate

    def spend(self, cost: float) -> None:
        """Take tokens that were granted elsewhere, whether they are there or not; the debt is at most a burst."""
        self._tokens = max(-self._burst, self._tokens - cost)

    @property
    def flooding(self) -> bool:
        """Whether it goes on and on at twice the limit or more."""
        return self._hot >= FLOOD_SECONDS

    def _count(self, second: int, cost: float) -> None:
        if second != self._second:
            passed, flood = second - self._second, 2 * self._rate
            self._above = min(self._above + self._offered - flood, flood) - flood * (passed - 1)
            self._hot = self._hot + passed if self._above >= 0 else 0
            self._above = max(self._above, 0.0)
            self._second, self._offered = second, 0.0
        self._offered += cost

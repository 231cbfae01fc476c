"""Token buckets: `Tokens`, and `Bucket`, which also recognises a flood and of which each connection has one.

`rates.shared` keeps `Tokens` by user, tenant and address.
"""

from __future__ import annotations

import time
from collections.abc import Callable

FLOOD_SECONDS = 10
"""Seconds of sending at twice the limit or more, or seconds' worth of tokens refused within one, that end a connection."""


class Tokens:
    """A token bucket."""

    __slots__ = ("_burst", "_clock", "_rate", "_stamp", "_tokens")

    def __init__(self, rate: float, burst: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        """Tokens per second."""
        self._burst = burst
        """Maximum of tokens."""
        self._clock = clock
        self._tokens = burst
        self._stamp = clock()
        """The time of `_tokens`."""

    def take(self, cost: float) -> float:
        """Take tokens, at most a burst. Return 0 if granted, otherwise the seconds until they are available."""
        now, burst, tokens = self._clock(), self._burst, self._tokens
        if tokens < burst:
            tokens = min(burst, tokens + (now - self._stamp) * self._rate)
        self._stamp = now
        cost = min(cost, burst)
        if tokens >= cost:
            self._tokens = tokens - cost
            return 0.0
        self._tokens = tokens
        return (cost - tokens) / self._rate

    def spend(self, cost: float) -> None:
        """Take tokens that were granted elsewhere, even if that makes a debt of up to a burst."""
        self._tokens = max(-self._burst, self._tokens - cost)


class Bucket(Tokens):
    """A token bucket that distinguishes a flood from a burst."""

    __slots__ = ("_above", "_hot", "_offered", "_refused", "_second")

    def __init__(self, rate: float, burst: float, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(rate, burst, clock)
        self._second = int(self._stamp)
        """The second being counted."""
        self._offered = 0.0
        """Tokens requested in this second, granted or not."""
        self._refused = 0.0
        """Tokens requested in this second and not granted."""
        self._hot = 0
        """Number of past seconds with twice the rate requested."""
        self._above = 0.0
        """Tokens requested beyond twice the rate, at most a second's worth: they make up for a short pause only."""

    def take(self, cost: float) -> float:
        """Take tokens, at most a burst. Return 0 if granted, otherwise the seconds until they are available."""
        wait = super().take(cost)
        if (second := int(self._stamp)) != self._second:
            self._begin(second)
        self._offered += cost
        if wait:
            self._refused += cost
        return wait

    @property
    def flooding(self) -> bool:
        """Whether twice the rate was requested for `FLOOD_SECONDS`, or as much as in that time was refused at once."""
        return self._hot >= FLOOD_SECONDS or self._refused > FLOOD_SECONDS * self._rate

    def _begin(self, second: int) -> None:
        passed, flood = second - self._second, 2 * self._rate
        self._above = min(self._above + self._offered - flood, flood) - flood * (passed - 1)
        self._hot = self._hot + passed if self._above >= 0 else 0
        self._above = max(self._above, 0.0)
        self._second, self._offered, self._refused = second, 0.0, 0.0

"""Decides whose upload is examined next, so that the backlog of one tenant or user does not delay the others."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

_HALF_LIFE_SECONDS = 60.0
_FORGOTTEN_SECONDS = 0.001


class Shares:
    """Charges tenants and users for the time that their uploads took in this process; charges halve every minute.

    Time is what decoding, scanning and transfers cost, so a picture is charged by its pixels and a file by its bytes.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._charges: dict[tuple[str, ...], tuple[float, float]] = {}
        """By (tenant,) and (tenant, owner): seconds, and when they were counted."""

    def charge(self, tenant: str, owner: str, seconds: float) -> None:
        """Count time that an upload took."""
        now = self._clock()
        for key in ((tenant,), (tenant, owner)):
            self._charges[key] = (self._charged(key, now) + seconds, now)

    def order(self, waiting: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
        """Order (tenant, owner) pairs: the least charged tenant first, and its least charged owner first."""
        now = self._clock()
        self._charges = {key: value for key, value in self._charges.items() if self._charged(key, now) > _FORGOTTEN_SECONDS}
        return sorted(waiting, key=lambda pair: (self._charged(pair[:1], now), self._charged(pair, now)))

    def _charged(self, key: tuple[str, ...], now: float) -> float:
        seconds, at = self._charges.get(key, (0.0, now))
        return float(seconds * 0.5 ** ((now - at) / _HALF_LIFE_SECONDS))

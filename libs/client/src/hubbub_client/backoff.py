"""Exponential backoff with full jitter, so that clients that lost a server together do not come back together."""

import random


class Backoff:
    """The delays between attempts. The n-th delay is a random share of `base_seconds` times 2ⁿ, at most of `max_seconds`."""

    def __init__(self, base_seconds: float, max_seconds: float) -> None:
        self._base = base_seconds
        self._max = max_seconds
        self._attempt = 0

    def next(self) -> float:
        """Return the next delay in seconds."""
        bound = min(self._max, self._base * 2.0 ** min(self._attempt, 30))
        self._attempt += 1
        return random.random() * bound

    def reset(self) -> None:
        """Start over, after a success."""
        self._attempt = 0

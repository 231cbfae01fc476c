"""Spaces retries and reconnects: exponential backoff with full jitter, one policy for every process.

Full jitter (each wait is random between zero and the exponential bound) keeps clients that lost the same server from
returning together. tenacity implements the waiting.
"""

from __future__ import annotations

import asyncio
import math

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_after_delay, wait_random_exponential

FIRST_SECONDS = 0.05
"""Upper bound of the first wait; it doubles with each failure."""
LONGEST_SECONDS = 1.0
_WAIT = wait_random_exponential(multiplier=FIRST_SECONDS, max=LONGEST_SECONDS)


def retrying(*errors: type[Exception], within_seconds: float = math.inf) -> AsyncRetrying:
    """Repeat a block on `errors` until it succeeds. Past `within_seconds` the last error is raised.

    Use: `async for attempt in retrying(Unavailable): with attempt: ...`
    """
    return AsyncRetrying(retry=retry_if_exception_type(errors), wait=_WAIT, stop=stop_after_delay(within_seconds), reraise=True)


class Backoff:
    """The wait before the next attempt, for loops that `retrying` does not fit."""

    def __init__(self) -> None:
        self._state = RetryCallState(retrying(), None, (), {})

    def succeeded(self) -> None:
        """Reset to the shortest wait."""
        self._state.attempt_number = 1

    def failed(self) -> float:
        """Count a failure. Return the seconds to wait."""
        seconds = _WAIT(self._state)
        self._state.attempt_number += 1
        return seconds

    async def wait(self) -> None:
        """Count a failure and wait."""
        await asyncio.sleep(self.failed())

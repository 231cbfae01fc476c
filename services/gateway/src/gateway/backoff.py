"""Spaces attempts: growing, jittered pauses within a bound, so that many who wait for the same thing do not come back as one."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator

FIRST_SECONDS = 0.05
LONGEST_SECONDS = 1.0


async def delays(within_seconds: float) -> AsyncIterator[int]:
    """Yield attempt numbers from 0, the first at once, until `within_seconds` have passed. Leave by `return` on success."""
    now = asyncio.get_running_loop().time
    until = now() + within_seconds
    pause, attempt = FIRST_SECONDS, 0
    while True:
        yield attempt
        attempt += 1
        wait = pause * random.uniform(0.5, 1.0)
        if now() + wait > until:
            return
        await asyncio.sleep(wait)
        pause = min(pause * 2, LONGEST_SECONDS)

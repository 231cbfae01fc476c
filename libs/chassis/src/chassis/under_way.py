"""Bounds how much work of one user or tenant is under way in this process. The surplus waits its turn, or is refused."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from chassis.errors import RateLimited


@dataclass(slots=True)
class _Queue:
    """The work of one key."""

    turns: asyncio.Semaphore
    count: int = 0
    """Under way or waiting."""


class UnderWay:
    """For each key, at most `at_once` turns are under way, and at most `waiting` more wait, in order, for at most `seconds`."""

    def __init__(self, at_once: int, detail: str, *, waiting: int = 0, seconds: float = 0.0) -> None:
        self._at_once = at_once
        self._detail = detail
        """Detail of the error."""
        self._waiting = waiting
        self._seconds = seconds
        self._queues: dict[tuple[str, ...], _Queue] = {}
        """Of keys with work."""

    @asynccontextmanager
    async def turn(self, *key: str) -> AsyncIterator[None]:
        """Be under way inside the block. Raises `RateLimited` beyond the bounds."""
        queue = self._queues.setdefault(key, _Queue(asyncio.Semaphore(self._at_once)))
        if queue.count >= self._at_once + self._waiting:
            raise RateLimited(self._detail)
        queue.count += 1
        try:
            await self._acquire(queue.turns)
            try:
                yield
            finally:
                queue.turns.release()
        finally:
            queue.count -= 1
            if not queue.count:
                del self._queues[key]

    async def _acquire(self, turns: asyncio.Semaphore) -> None:
        if not turns.locked():
            await turns.acquire()  # does not wait
            return
        try:
            async with asyncio.timeout(self._seconds):
                await turns.acquire()
        except TimeoutError:
            raise RateLimited(self._detail) from None

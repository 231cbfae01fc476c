"""Bounds how much work of one user is under way at this gateway at one time. The surplus waits its turn, or is refused."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from chassis.errors import RateLimited

WAIT_SECONDS = 5.0
_DETAIL = "Too many requests of this user are under way"


@dataclass(slots=True)
class _Queue:
    """The requests of one key."""

    turns: asyncio.Semaphore
    count: int = 0
    """Requests under way or waiting."""


class UnderWay:
    """At most `at_once` requests of a key are under way, and at most `waiting` more wait, in order, for `WAIT_SECONDS`."""

    def __init__(self, at_once: int, waiting: int = 0) -> None:
        self._at_once = at_once
        self._waiting = waiting
        self._queues: dict[tuple[str, ...], _Queue] = {}
        """Of keys with a request."""

    @asynccontextmanager
    async def turn(self, *key: str) -> AsyncIterator[None]:
        """Be under way inside the block. Raises `RateLimited`."""
        queue = self._queues.setdefault(key, _Queue(asyncio.Semaphore(self._at_once)))
        if queue.count >= self._at_once + self._waiting:
            raise RateLimited(_DETAIL)
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
            async with asyncio.timeout(WAIT_SECONDS):
                await turns.acquire()
        except TimeoutError:
            raise RateLimited(_DETAIL) from None

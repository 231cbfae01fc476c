"""Takes part in the group of workers while this process can store, and leaves it at once when it cannot.

A worker that cannot store would keep its partitions from workers that can. What it leaves unacknowledged is delivered to them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import structlog

from bus import topics
from bus.bus import Bus
from chassis.lifecycle import Lifecycle, Unusable, pause
from messages.worker import GROUP, Worker

log = structlog.get_logger()
_LONGEST_SECONDS = 30.0


class Consumer:
    """The membership of one process in the group of workers."""

    def __init__(
        self, bus: Bus, partitions: int, name: str, life: Lifecycle, *, on_failing: Callable[[], Awaitable[None]]
    ) -> None:
        self._bus = bus
        self._topics = [topics.commands(number) for number in range(partitions)]
        self._name = name
        self._life = life
        self._on_failing = on_failing
        """Called when deliveries fail although every check passes."""
        self._failures = 0
        """Memberships in a row in which nothing was stored."""
        self._away_until = 0.0
        """`time.monotonic` before which this process does not join again."""

    async def check(self) -> None:
        """Raise `Unusable` while this process stays away because its deliveries failed."""
        if time.monotonic() < self._away_until:
            raise Unusable("its deliveries failed one after the other, although every check passes: look at the log")

    async def run(self, make_worker: Callable[[], Worker]) -> None:
        """Consume, with a new worker for each membership, until the process stops."""
        stopping = self._life.stopping
        while not stopping.is_set():
            await self._life.until_ready()
            await pause(stopping, self._away_until - time.monotonic())
            if self._life.ready:
                await self._consume(make_worker())

    async def _consume(self, worker: Worker) -> None:
        """Consume until the process stops (then finish the deliveries in progress) or cannot store (then abandon them)."""
        async with self._bus.work(self._topics, GROUP, self._name) as work, asyncio.TaskGroup() as tasks:
            consuming = tasks.create_task(worker.run(work))
            unready = tasks.create_task(self._life.until_ready(ready=False))
            failing = tasks.create_task(worker.failing.wait())
            await asyncio.wait([consuming, unready, failing], return_when=asyncio.FIRST_COMPLETED)
            if not self._life.stopping.is_set():
                consuming.cancel()
                log.warning("partitions_given_up", causes=self._life.causes, failing=failing.done())
            unready.cancel()
            failing.cancel()
        self._failures = 0 if worker.has_stored else self._failures + 1
        if worker.failing.is_set():
            self._away_until = time.monotonic() + min(2.0**self._failures, _LONGEST_SECONDS)
            await self._on_failing()

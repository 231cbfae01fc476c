"""Runs a socket's asynchronous work one piece after the other, and only while there is some: idle sockets own no task."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from chassis.metrics import DEFECTS

log = structlog.get_logger()
Work = Callable[[], Awaitable[None]]


class Lane:
    """A queue of work with at most one piece under way; the tasks belong to `group`."""

    __slots__ = ("_bound", "_group", "_on_defect", "_queue", "_task")

    def __init__(self, group: asyncio.TaskGroup, bound: int, on_defect: Callable[[], None]) -> None:
        self._group = group
        self._bound = bound
        """Pieces that may wait."""
        self._on_defect = on_defect
        """Called when a piece raised what it should not; the rest is not run."""
        self._queue: list[Work] = []
        """A few pieces: an empty deque would take 600 bytes of every socket."""
        self._task: asyncio.Task[None] | None = None

    @property
    def busy(self) -> bool:
        """Whether a piece is under way or waits."""
        return self._task is not None

    def add(self, work: Work) -> bool:
        """Run `work` after everything added before; False when too much waits already."""
        if len(self._queue) >= self._bound:
            return False
        self._queue.append(work)
        if self._task is None:
            self._task = self._group.create_task(self._run())
        return True

    def cancel(self) -> None:
        """Drop what waits and end what is under way."""
        self._queue.clear()
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        try:
            while self._queue:
                await self._queue.pop(0)()
        except Exception as error:  # the outermost handler of this work
            DEFECTS.labels("lane").inc()
            log.exception("lane_failed", error=type(error).__name__)
            self._queue.clear()
            self._on_defect()
        finally:
            self._task = None

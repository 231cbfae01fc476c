"""Runs asynchronous work in order, one piece at a time. An idle queue owns no task."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from chassis.metrics import DEFECTS

log = structlog.get_logger()
Work = Callable[[], Awaitable[None]]


class SerialQueue:
    """A bounded queue of work; its task belongs to `group`."""

    __slots__ = ("_bound", "_group", "_on_defect", "_queue", "_task")

    def __init__(self, group: asyncio.TaskGroup, bound: int, on_defect: Callable[[], None]) -> None:
        self._group = group
        self._bound = bound
        """Pieces of work that may wait."""
        self._on_defect = on_defect
        """Called when a piece of work raises an unexpected exception; the rest is dropped."""
        self._queue: list[Work] = []
        """A list, because it is short and an empty deque takes 600 bytes per connection."""
        self._task: asyncio.Task[None] | None = None

    @property
    def busy(self) -> bool:
        """Whether work is running or waiting."""
        return self._task is not None

    def add(self, work: Work) -> bool:
        """Run `work` after everything added before; False if the queue is full."""
        if len(self._queue) >= self._bound:
            return False
        self._queue.append(work)
        if self._task is None:
            self._task = self._group.create_task(self._run())
        return True

    def cancel(self) -> None:
        """Drop waiting work and cancel the running one."""
        self._queue.clear()
        if self._task is not None:
            self._task.cancel()

    async def _run(self) -> None:
        try:
            while self._queue:
                await self._queue.pop(0)()
        except Exception as error:  # the outermost handler of this work
            DEFECTS.labels("serial_queue").inc()
            log.exception("serial_queue_failed", error=type(error).__name__)
            self._queue.clear()
            self._on_defect()
        finally:
            self._task = None

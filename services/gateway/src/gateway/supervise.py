"""Contains defects: a task that fails must not end the process with its thousands of connections.

An unexpected exception is logged and counted. Cancellation passes through.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from chassis.metrics import DEFECTS

log = structlog.get_logger()
PAUSE_SECONDS = 1.0


async def guarded(where: str, work: Awaitable[None], on_defect: Callable[[], None]) -> None:
    """Await `work`; call `on_defect` if it raises an unexpected exception."""
    try:
        await work
    except Exception as error:  # the outermost handler of this task
        DEFECTS.labels(where).inc()
        log.exception("task_failed", where=where, error=type(error).__name__)
        on_defect()


async def kept_running(where: str, loop: Callable[[], Awaitable[None]]) -> None:
    """Run a loop that should never end; restart it after a pause when it does."""
    while True:
        try:
            await loop()
        except Exception as error:  # the outermost handler of this task
            DEFECTS.labels(where).inc()
            log.exception("task_failed", where=where, error=type(error).__name__)
        await asyncio.sleep(PAUSE_SECONDS)

"""Keeps a defect where it is: one task that fails must not take thousands of sockets along with the process.

Cancellation passes through; what fails is logged and counted, and whoever depends on it is told by `otherwise`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from chassis.metrics import DEFECTS

log = structlog.get_logger()
PAUSE_SECONDS = 1.0


async def contained(where: str, work: Awaitable[None], otherwise: Callable[[], None]) -> None:
    """Do a piece of work; when it fails in a way that nobody foresaw, do `otherwise` instead."""
    try:
        await work
    except Exception as error:  # the outermost handler of this task
        DEFECTS.labels(where).inc()
        log.exception("task_failed", where=where, error=type(error).__name__)
        otherwise()


async def kept_going(where: str, loop: Callable[[], Awaitable[None]]) -> None:
    """Run a loop that never ends by itself, again and again when it fails."""
    while True:
        try:
            await loop()
        except Exception as error:  # the outermost handler of this task
            DEFECTS.labels(where).inc()
            log.exception("task_failed", where=where, error=type(error).__name__)
        await asyncio.sleep(PAUSE_SECONDS)

"""Lets time pass: ends leases, lets connections leave, shows users offline whose grace is over.

Any instance may do any step; each step is one script in `leases`, so two that do the same do it once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog

from presence import metrics
from presence.errors import StoreUnavailable
from presence.leases import CHUNK, Leases

_INTERVAL_SECONDS = 0.5

_log = structlog.get_logger(__name__)


async def run(leases: Leases, say_ready: Callable[[bool], None]) -> None:
    """Sweep for as long as the process lives; say whether the store answers."""
    while True:
        try:
            await sweep(leases)
            say_ready(True)
        except StoreUnavailable:
            _log.warning("sweep_interrupted")
            say_ready(False)
        await asyncio.sleep(_INTERVAL_SECONDS)


async def sweep(leases: Leases) -> None:
    """Do everything whose time has come. Raises StoreUnavailable."""
    reaped = await leases.reap()
    if reaped:
        metrics.REAPED.inc(reaped)
        _log.warning("leases_ended", gateways=reaped)
    while await leases.work_off():
        pass
    while await leases.sweep() >= CHUNK:
        pass

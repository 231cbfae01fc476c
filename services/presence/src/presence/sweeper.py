"""Applies timeouts: expires leases, disconnects the connections of detached gateways, and ends grace periods.

Every instance sweeps. Each step is an atomic script in `leases`, so concurrent sweeps do no harm.
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


async def run(leases: Leases, set_ready: Callable[[bool], None]) -> None:
    """Sweep every half second until cancelled. Report readiness: whether the store answers."""
    while True:
        try:
            await sweep(leases)
            set_ready(True)
        except StoreUnavailable:
            _log.warning("sweep_interrupted")
            set_ready(False)
        await asyncio.sleep(_INTERVAL_SECONDS)


async def sweep(leases: Leases) -> None:
    """Apply everything that is due. Raises StoreUnavailable."""
    if expired := await leases.expire_leases():
        metrics.REAPED.inc(expired)
        _log.warning("leases_expired", gateways=expired)
    while await leases.disconnect_detached():
        pass
    while await leases.expire_grace() >= CHUNK:
        pass

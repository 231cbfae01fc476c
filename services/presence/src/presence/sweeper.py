"""Applies timeouts: expires leases, disconnects the connections of detached gateways, and ends grace periods.

Every instance sweeps. Each step is an atomic script in `leases`, so concurrent sweeps do no harm.
"""

from __future__ import annotations

import asyncio

import structlog

from presence import metrics
from presence.errors import StoreUnavailable, cause_of
from presence.leases import CHUNK, Leases

_INTERVAL_SECONDS = 0.5

_log = structlog.get_logger(__name__)


async def run(leases: Leases) -> None:
    """Sweep every half second until cancelled."""
    while True:
        try:
            await sweep(leases)
        except StoreUnavailable as error:
            _log.warning("sweep_interrupted", cause=cause_of(error))
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

"""Publishes revocations and blocks of users, and waits until every gateway has applied them.

The caller has stored the revocation. Every gateway that holds a lease applies it and confirms. A gateway without a lease may not
trust its cached state until it has read the revocation too, so it is not waited for. The announcement is repeated while
confirmations are missing, because the bus may have lost it.
"""

from __future__ import annotations

import asyncio
import time

import structlog

from bus.bus import BusError
from bus.gateway_leases import GatewayLeases
from chassis.errors import Unavailable
from hubbub.events.v1.events_pb2 import Revocation
from messages.metrics import REVOCATION_SECONDS
from messages.publisher import Publisher

log = structlog.get_logger()
CONFIRM_SECONDS = 4.0
"""How long to wait for confirmations: less than the 5 s deadline of the call."""
POLL_SECONDS = 0.02
REPEAT_SECONDS = 0.4


class Revocations:
    """Applies revocations at every gateway."""

    def __init__(self, publisher: Publisher, leases: GatewayLeases, confirm_seconds: float = CONFIRM_SECONDS) -> None:
        self._publisher = publisher
        self._leases = leases
        """Leases of the gateways."""
        self._confirm_seconds = confirm_seconds

    async def apply_everywhere(self, revocation: Revocation) -> None:
        """Return once every gateway has applied it. Raises `Unavailable` when that is unknown; the call may be repeated."""
        started = time.monotonic()
        try:
            async with asyncio.timeout(self._confirm_seconds):
                await self._publisher.publish_revocation(revocation)
                await self._confirmed(revocation)
        except (TimeoutError, BusError) as error:
            log.warning("revocation_not_confirmed", revocation=revocation.id, error=type(error).__name__)
            raise Unavailable("The revocation is stored, but not every gateway has confirmed it yet") from None
        REVOCATION_SECONDS.observe(time.monotonic() - started)

    async def _confirmed(self, revocation: Revocation) -> None:
        repeat = time.monotonic() + REPEAT_SECONDS
        while (missing := await self._leases.unacknowledged(revocation.id)) is None or missing:
            await asyncio.sleep(POLL_SECONDS)
            if time.monotonic() >= repeat:
                repeat += REPEAT_SECONDS
                await self._publisher.publish_revocation(revocation)

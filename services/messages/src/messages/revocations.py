"""Announces decisions about users, and sees to it that one holds at every gateway before whoever made it is answered.

A decision is stored before it comes here. Every gateway that is present carries it out and confirms; those that are not hold
nothing back from it: they are cut off until they have read it too (the gateway's `tenure`). An announcement that the bus may
have lost is repeated meanwhile. Any replica can wait, as all of it is on the bus.
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
HOLD_SECONDS = 4.0
"""Until whoever decided is told that a gateway, although present, has not confirmed: within the 5 s that callers give a call."""
LOOK_SECONDS = 0.02
REPEAT_SECONDS = 0.4


class Revocations:
    """Revocations about users, on their way to every gateway."""

    def __init__(self, publisher: Publisher, leases: GatewayLeases, hold_seconds: float = HOLD_SECONDS) -> None:
        self._publisher = publisher
        self._leases = leases
        """Of the gateways."""
        self._hold_seconds = hold_seconds

    async def hold_everywhere(self, decision: Revocation) -> None:
        """Return when it holds at every gateway. Raises `Unavailable` when that is not known; it is stored, so ask again."""
        began = time.monotonic()
        try:
            async with asyncio.timeout(self._hold_seconds):
                await self._publisher.publish_revocation(decision)
                await self._confirmed(decision)
        except (TimeoutError, BusError) as error:
            log.warning("decision_not_confirmed", control=decision.id, error=type(error).__name__)
            raise Unavailable("It is decided, but not every gateway has confirmed yet") from None
        REVOCATION_SECONDS.observe(time.monotonic() - began)

    async def _confirmed(self, decision: Revocation) -> None:
        repeat = time.monotonic() + REPEAT_SECONDS
        while (awaited := await self._leases.unacknowledged(decision.id)) is None or awaited:
            await asyncio.sleep(LOOK_SECONDS)
            if time.monotonic() >= repeat:
                repeat += REPEAT_SECONDS
                await self._publisher.publish_revocation(decision)

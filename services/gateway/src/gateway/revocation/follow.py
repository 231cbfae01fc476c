"""Follows revocations (blocks included): each is applied here (`apply`) and then confirmed.

The messages service stores and publishes a revocation, and answers its caller once every gateway with a lease has confirmed. A
gateway without a lease delays nothing: it is cut off (`lease`) until it has read the revocations that it missed.
"""

from __future__ import annotations

from collections import OrderedDict

import structlog
from google.protobuf.message import DecodeError

from bus.bus import Bus, BusUnavailable, Delivery, Lost
from bus.gateway_leases import GatewayLeases
from bus.topics import revocations as topic
from chassis.backoff import retrying
from chassis.metrics import DEFECTS
from gateway.metrics import BUS_LOST
from gateway.revocation.apply import Revocations
from gateway.revocation.lease import GatewayLease
from hubbub.events.v1.events_pb2 import Revocation, RevocationBatch

log = structlog.get_logger()
REMEMBERED = 1_000
"""Revocations known to be applied: one that is published again must not override a later one."""


class RevocationFollower:
    """Receives revocations from the bus."""

    def __init__(self, bus: Bus, leases: GatewayLeases, lease: GatewayLease, revocations: Revocations, gateway: str) -> None:
        self._bus = bus
        self._leases = leases
        self._lease = lease
        self._revocations = revocations
        self._gateway = gateway
        self._applied: OrderedDict[str, None] = OrderedDict()
        """Ids of the last revocations applied."""

    async def follow(self) -> None:
        """Apply and confirm, forever. Separate from the events, so that no backlog of events delays a revocation."""
        async for attempt in retrying(BusUnavailable):
            with attempt:
                async with self._bus.follow([topic()]) as deliveries:
                    async for delivery in deliveries:
                        await self._take(delivery)

    async def _take(self, delivery: Delivery | Lost) -> None:
        match delivery:
            case Delivery(_, entries):
                for entry in entries:
                    await self._read(entry.payload)
            case Lost(_, reason):
                self._lost(reason)

    async def _read(self, payload: bytes) -> None:
        try:
            batch = RevocationBatch.FromString(payload)
        except DecodeError:
            DEFECTS.labels("bus_entry").inc()
            log.error("bus_entry_unreadable", topic=topic().name)  # noqa: TRY400 - a traceback adds nothing
            self._lost("unreadable")
            return
        for revocation in batch.users:
            self._apply(revocation)
            await self._confirm(revocation)
        for block in batch.blocks:
            self._revocations.on_block(block)
        if batch.echo:
            self._lease.echo_read(batch.echo)

    def _apply(self, revocation: Revocation) -> None:
        if revocation.id in self._applied:
            return
        self._revocations.apply(revocation)
        self._applied[revocation.id] = None
        if len(self._applied) > REMEMBERED:
            self._applied.popitem(last=False)

    async def _confirm(self, revocation: Revocation) -> None:
        try:
            await self._leases.acknowledge(self._gateway, revocation.id)
        except BusUnavailable:  # the messages service publishes it again
            log.warning("revocation_not_confirmed", revocation=revocation.id)

    def _lost(self, reason: str) -> None:
        BUS_LOST.labels(reason).inc()
        log.warning("revocations_lost", reason=reason)
        self._lease.missed()
        self._revocations.doubt_all()

"""Follows decisions about users: each is carried out here (`control`), and then confirmed.

The messages service stores and announces them, and answers whoever decided once all gateways that are present have confirmed.
A gateway that is not present holds nothing up: it is cut off (`tenure`) until it has read what was decided.
"""

from __future__ import annotations

import math
from collections import OrderedDict

import structlog
from google.protobuf.message import DecodeError

from bus.bus import Bus, BusUnavailable, Delivery, Lost
from bus.gateway_leases import GatewayLeases
from bus.topics import revocations
from chassis.metrics import DEFECTS
from gateway.backoff import delays
from gateway.control import Control
from gateway.metrics import BUS_LOST
from gateway.tenure import Tenure
from hubbub.events.v1.events_pb2 import Revocation, RevocationBatch

log = structlog.get_logger()
REMEMBERED = 1_000
"""Decisions known to have been carried out: a repeated announcement must not undo what was decided after it."""


class Decisions:
    """Decisions about users, as they come to this gateway."""

    def __init__(self, bus: Bus, leases: GatewayLeases, tenure: Tenure, user_control: Control, member: str) -> None:
        self._bus = bus
        self._leases = leases
        self._tenure = tenure
        self._control = user_control
        self._member = member
        self._done: OrderedDict[str, None] = OrderedDict()
        """Ids of the last decisions carried out."""

    async def follow(self) -> None:
        """Carry out and confirm, for ever. Apart from the events, so that no backlog of those holds a decision up."""
        async for _attempt in delays(math.inf):  # until the bus is there; afterwards it never ends by itself
            try:
                async with self._bus.follow([revocations()]) as deliveries:
                    async for delivery in deliveries:
                        await self._take(delivery)
            except BusUnavailable:
                log.warning("decisions_not_followed")

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
            log.error("bus_entry_unreadable", topic=revocations().name)  # noqa: TRY400 - a trace says nothing more
            self._lost("unreadable")
            return
        for decision in batch.users:
            self._carry_out(decision)
            await self._confirm(decision)
        if batch.echo:
            self._tenure.heard(batch.echo)

    def _carry_out(self, decision: Revocation) -> None:
        if decision.id in self._done:
            return
        self._control.decided(decision)
        self._done[decision.id] = None
        if len(self._done) > REMEMBERED:
            self._done.popitem(last=False)

    async def _confirm(self, decision: Revocation) -> None:
        try:
            await self._leases.acknowledge(self._member, decision.id)
        except BusUnavailable:  # who waits for it announces it again
            log.warning("decision_not_confirmed", control=decision.id, error="BusUnavailable")

    def _lost(self, reason: str) -> None:
        BUS_LOST.labels(reason).inc()
        log.warning("decisions_lost", reason=reason)
        self._tenure.missed()
        self._control.doubt_all()

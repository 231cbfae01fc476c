"""Follows decisions about users, and sees to it that one holds at every gateway before whoever made it is answered.

The messages service stores a decision and announces it; each gateway carries it out (`control`) and confirms. The gateway that
serves the administrator waits until all that are present have confirmed; those that are not hold nothing back from it: they
are cut off (`tenure`) until they have read it too. An announcement that the bus may have lost is repeated meanwhile.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import OrderedDict

import structlog
from google.protobuf.message import DecodeError

from bus.attendance import Attendance
from bus.bus import Bus, BusError, BusUnavailable, Delivery, Lost
from bus.topics import control
from chassis.errors import Unavailable
from chassis.metrics import DEFECTS
from gateway.backoff import delays
from gateway.control import Control
from gateway.metrics import BUS_LOST, DECISION_SECONDS
from gateway.tenure import Tenure
from hubbub.events.v1.events_pb2 import ControlBatch, UserControl

log = structlog.get_logger()
HOLD_SECONDS = 5.0
"""Until an administrator is told that a gateway, although present, has not confirmed."""
LOOK_SECONDS = 0.02
REPEAT_SECONDS = 0.4
REMEMBERED = 1_000
"""Decisions known to have been carried out: a repeated announcement must not undo what was decided after it."""


class Decisions:
    """Decisions about users on their way to every gateway."""

    def __init__(self, bus: Bus, attendance: Attendance, tenure: Tenure, user_control: Control, member: str) -> None:
        self._bus = bus
        self._attendance = attendance
        self._tenure = tenure
        self._control = user_control
        self._member = member
        self._done: OrderedDict[str, None] = OrderedDict()
        """Ids of the last decisions carried out."""

    async def follow(self) -> None:
        """Carry out and confirm, for ever. Apart from the events, so that no backlog of those holds a decision up."""
        async for _attempt in delays(math.inf):  # until the bus is there; afterwards it never ends by itself
            try:
                async with self._bus.follow([control()]) as deliveries:
                    async for delivery in deliveries:
                        await self._take(delivery)
            except BusUnavailable:
                log.warning("decisions_not_followed")

    async def hold_everywhere(self, decision: UserControl) -> None:
        """Return when it holds at every gateway. Raises `Unavailable` when that is not known; it is stored, so ask again."""
        began = time.monotonic()
        self._carry_out(decision)
        try:
            async with asyncio.timeout(HOLD_SECONDS):
                await self._confirmed(decision)
        except (TimeoutError, BusError) as error:
            log.warning("decision_not_confirmed", control=decision.id, error=type(error).__name__)
            raise Unavailable("It is decided, but not every gateway has confirmed yet") from None
        DECISION_SECONDS.observe(time.monotonic() - began)

    async def _confirmed(self, decision: UserControl) -> None:
        announcement = ControlBatch(users=[decision]).SerializeToString()
        repeat = time.monotonic() + REPEAT_SECONDS
        while (awaited := await self._attendance.awaited(decision.id)) is None or awaited:
            await asyncio.sleep(LOOK_SECONDS)
            if time.monotonic() >= repeat:
                repeat += REPEAT_SECONDS
                await self._bus.publish([(control(), announcement)])

    async def _take(self, delivery: Delivery | Lost) -> None:
        match delivery:
            case Delivery(_, entries):
                for entry in entries:
                    await self._read(entry.payload)
            case Lost(_, reason):
                self._lost(reason)

    async def _read(self, payload: bytes) -> None:
        try:
            batch = ControlBatch.FromString(payload)
        except DecodeError:
            DEFECTS.labels("bus_entry").inc()
            log.error("bus_entry_unreadable", topic=control().name)  # noqa: TRY400 - a trace says nothing more
            self._lost("unreadable")
            return
        for decision in batch.users:
            self._carry_out(decision)
            await self._confirm(decision)
        if batch.echo:
            self._tenure.heard(batch.echo)

    def _carry_out(self, decision: UserControl) -> None:
        if decision.id in self._done:
            return
        self._control.decided(decision)
        self._done[decision.id] = None
        if len(self._done) > REMEMBERED:
            self._done.popitem(last=False)

    async def _confirm(self, decision: UserControl) -> None:
        try:
            await self._attendance.confirm(self._member, decision.id)
        except BusUnavailable:  # who waits for it announces it again
            log.warning("decision_not_confirmed", control=decision.id, error="BusUnavailable")

    def _lost(self, reason: str) -> None:
        BUS_LOST.labels(reason).inc()
        log.warning("decisions_lost", reason=reason)
        self._tenure.missed()
        self._control.doubt_all()

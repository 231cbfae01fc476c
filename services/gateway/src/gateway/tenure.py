"""Owns whether this gateway may act on what it knows: only while nothing can have been decided about a user behind its back.

A gateway is present among the gateways by a lease, and a decision about a user holds once all who are present have carried it
out (`decisions`). One whose lease has run out (it was stopped, it is overloaded, the bus is out of its reach) may have been
decided past. It is *cut off* then: nothing goes out to sockets (`outbound.outbox`), nobody is let in from memory
(`admission`), no command goes in (`inbound.publish`), until it is present again and has read every decision up to an entry of
its own, its echo. If decisions were lost in between, or the bus stays away, each user is asked about instead (`control`).

Lease and check use a clock that no adjustment moves and that runs on while the process, or the machine, is asleep.
"""

from __future__ import annotations

import asyncio
import math
import secrets
import time
from collections.abc import Callable

import structlog

from bus.bus import Bus, BusError
from bus.gateway_leases import LEASE_SECONDS, GatewayLeases
from bus.topics import revocations
from gateway.metrics import CUT_OFFS
from hubbub.events.v1.events_pb2 import RevocationBatch

log = structlog.get_logger()
RENEW_SECONDS = 0.4


def boot_clock() -> float:
    """Seconds since the machine started, sleep included."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class Tenure:
    """This gateway's presence among the gateways."""

    def __init__(self, leases: GatewayLeases, bus: Bus, member: str, clock: Callable[[], float] = boot_clock) -> None:
        self._leases = leases
        self._bus = bus
        self._member = member
        self._clock = clock
        self._until = -math.inf
        """When the lease ends, as it is known here: never later than the server thinks."""
        self._echo = ""
        """What must be read before this lease is good for anything; empty once it was."""
        self._heard = False
        """It has been read."""
        self._missed = False
        """Decisions may have been lost meanwhile, and not every user has been asked about since."""
        self.alone = False
        """The last attempt to be present failed."""

    @property
    def cut_off(self) -> bool:
        """Whether something may have been decided that is not known here."""
        return self._echo != "" or self._clock() >= self._until

    async def run(self) -> None:
        """Be present, for ever; ends with the process, which should then `leave`."""
        while True:
            try:
                await self._renew()
            except BusError as error:
                self.alone = True
                log.warning("tenure_not_renewed", reason=str(error))
            else:
                self.alone = False
            await asyncio.sleep(RENEW_SECONDS)

    async def leave(self) -> None:
        """Be present no longer, so that nobody waits for the lease's end."""
        try:
            await self._leases.leave(self._member)
        except BusError:
            log.info("tenure_not_left")

    def heard(self, echo: str) -> None:
        """An echo, of whatever gateway, has been read among the decisions."""
        if echo == self._echo:
            self._heard = True
            self._take_up()

    def missed(self) -> None:
        """Decisions may have been lost; without a gap in the lease that does no harm, as nobody has been answered."""
        if self.cut_off:
            self._missed = True

    def settled(self) -> None:
        """Every user has been asked about since the last loss."""
        self._missed = False
        self._take_up()

    async def _renew(self) -> None:
        began = self._clock()
        await self._leases.renew(self._member)
        if self._clock() >= self._until:  # there was a gap, and only what is read from now on closes it
            self._echo, self._heard = secrets.token_hex(8), False
            CUT_OFFS.inc()
            log.info("tenure_began", gateway=self._member)
        self._until = began + LEASE_SECONDS
        if self._echo:
            await self._bus.publish([(revocations(), RevocationBatch(echo=self._echo).SerializeToString())])

    def _take_up(self) -> None:
        if self._echo and self._heard and not self._missed and self._clock() < self._until:
            self._echo, self._heard = "", False
            log.info("tenure_taken_up", gateway=self._member)

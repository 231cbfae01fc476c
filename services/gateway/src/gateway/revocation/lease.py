"""Holds this gateway's lease. While the lease is valid, every block or revocation has been applied here.

A revocation takes effect once every gateway with a lease has confirmed it (`follow`), so a gateway whose lease has expired (it
was stopped, is overloaded, or cannot reach the bus) may have missed one. It is *cut off* then: nothing is written to
connections (`wire.writer`), cached admissions are not used (`identity.access_cache`), and commands are rejected
(`commands.publisher`). This ends when the gateway has renewed the lease and has read every revocation up to an entry of its
own, its echo. If revocations were lost in between, or the bus stays away, the store is asked about each user instead (`apply`).

The clock is monotonic and includes the time for which the process, or the machine, was suspended.
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
    """Seconds since the machine started, including suspension."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


class GatewayLease:
    """This gateway's lease."""

    def __init__(self, leases: GatewayLeases, bus: Bus, member: str, clock: Callable[[], float] = boot_clock) -> None:
        self._leases = leases
        self._bus = bus
        self._member = member
        self._clock = clock
        self.address = ""
        """Where other gateways may call this one; empty if they may not."""
        self._until = -math.inf
        """When the lease ends; never later than the server believes."""
        self._echo = ""
        """The echo that must be read before this lease is valid; empty once it was."""
        self._echo_read = False
        self._missed = False
        """Revocations may have been lost, and the store has not been asked about every user since."""
        self.alone = False
        """The last renewal failed."""

    @property
    def cut_off(self) -> bool:
        """Whether a revocation may have been missed: the lease is not valid."""
        return self._echo != "" or self._clock() >= self._until

    async def run(self) -> None:
        """Renew the lease, forever. A process that stops should call `leave`."""
        while True:
            try:
                await self._renew()
            except BusError as error:
                self.alone = True
                log.warning("lease_not_renewed", reason=str(error))
            else:
                self.alone = False
            await asyncio.sleep(RENEW_SECONDS)

    async def leave(self) -> None:
        """Give the lease up, so that no revocation waits for its end."""
        try:
            await self._leases.leave(self._member)
        except BusError:
            log.info("lease_not_given_up")

    def echo_read(self, echo: str) -> None:
        """An echo, of this or another gateway, was read."""
        if echo == self._echo:
            self._echo_read = True
            self._become_valid()

    def missed(self) -> None:
        """Revocations may have been lost. Under a valid lease that is harmless, as unconfirmed ones have not taken effect."""
        if self.cut_off:
            self._missed = True

    def settled(self) -> None:
        """The store has been asked about every user since the last loss."""
        self._missed = False
        self._become_valid()

    async def _renew(self) -> None:
        began = self._clock()
        await self._leases.renew(self._member, self.address)
        if self._clock() >= self._until:  # the lease had expired: what was published meanwhile must be read first
            self._echo, self._echo_read = secrets.token_hex(8), False
            CUT_OFFS.inc()
            log.info("lease_acquired", gateway=self._member)
        self._until = began + LEASE_SECONDS
        if self._echo:
            await self._bus.publish([(revocations(), RevocationBatch(echo=self._echo).SerializeToString())])

    def _become_valid(self) -> None:
        if self._echo and self._echo_read and not self._missed and self._clock() < self._until:
            self._echo, self._echo_read = "", False
            log.info("lease_valid", gateway=self._member)

"""Gateway leases inside one process: for tests of their users, held to the same contract suite as the real ones."""

from __future__ import annotations

import time
from collections.abc import Callable

from bus.gateway_leases import LEASE_SECONDS


class MemoryGatewayLeases:
    """Leases in memory. See `gateway_leases.GatewayLeases`; `unacknowledged` never returns None here."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._ends: dict[str, float] = {}
        """When each gateway's lease ends."""
        self._acknowledged: dict[str, set[str]] = {}
        """Gateways by revocation; never forgotten."""

    async def renew(self, gateway: str) -> None:
        """Take or renew a lease."""
        self._ends[gateway] = self._clock() + LEASE_SECONDS

    async def leave(self, gateway: str) -> None:
        """End a lease."""
        self._ends.pop(gateway, None)

    async def acknowledge(self, gateway: str, revocation: str) -> None:
        """Record an acknowledgement."""
        self._acknowledged.setdefault(revocation, set()).add(gateway)

    async def unacknowledged(self, revocation: str) -> frozenset[str]:
        """Gateways that have not acknowledged."""
        now = self._clock()
        valid = {gateway for gateway, end in self._ends.items() if end > now}
        return frozenset(valid - self._acknowledged.get(revocation, set()))

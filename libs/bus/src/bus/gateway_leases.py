"""Keeps the leases and addresses of the running gateways, and their acknowledgements of revocations.

A revocation must hold at every gateway before its caller is answered. Each gateway renews a short lease. `unacknowledged` returns
every gateway whose lease may still be valid, so a gateway must stop trusting its lease `LEASE_SECONDS` after it *began* the last
successful renewal. Then an empty answer is true even for gateways that hang, crash or are partitioned.
The server's clock ends leases: it must not jump forward by a second or more.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Protocol

from bus import redis_keys
from bus.redis_client import Client
from bus.redis_connection import Address
from bus.redis_scripts import Scripts

LEASE_SECONDS = 1.5
"""Lifetime of a lease after a renewal."""
_LEASE_MILLISECONDS = int(LEASE_SECONDS * 1000) + 1
"""On the server, which cuts times down to milliseconds: without one more, a lease could end before its gateway expects it."""
_CALL_SECONDS = 1.0
_ACKNOWLEDGED_SECONDS = 60
"""How long acknowledgements are kept."""


class GatewayLeases(Protocol):
    """Leases and acknowledgements. Every call has its own deadline and raises `BusUnavailable` when it passes."""

    async def renew(self, gateway: str, address: str = "") -> None:
        """Take or renew a gateway's lease for at least `LEASE_SECONDS`.

        Other gateways may call it at `address` (host:port); empty if they may not.
        """
        ...

    async def leave(self, gateway: str) -> None:
        """End a gateway's lease."""
        ...

    async def acknowledge(self, gateway: str, revocation: str) -> None:
        """Record that a gateway has applied a revocation, named by its id."""
        ...

    async def unacknowledged(self, revocation: str) -> frozenset[str] | None:
        """Gateways that hold a lease and have not acknowledged.

        None while the record is younger than a lease: after a restart or a wipe of the server it may miss gateways.
        """
        ...

    async def addresses(self) -> dict[str, str]:
        """Addresses of the gateways that hold a lease and may be called, by gateway."""
        ...


class RedisGatewayLeases:
    """Leases on a Redis or Valkey server."""

    def __init__(self, url: str) -> None:
        self._scripts = Scripts.load()
        self._client = Client(Address.parse(url), self._scripts.sources())
        """A connection of its own, so that a renewal never queues behind other commands."""
        self._record = [redis_keys.GATEWAYS, redis_keys.GATEWAYS_SINCE]

    async def renew(self, gateway: str, address: str = "") -> None:
        """Take or renew a lease."""
        keys = [*self._record, redis_keys.GATEWAY_ADDRESSES]
        await self._client.call([self._scripts.renew_lease.call(keys, gateway, _LEASE_MILLISECONDS, address)], _CALL_SECONDS)

    async def leave(self, gateway: str) -> None:
        """End a lease."""
        ending = [("ZREM", redis_keys.GATEWAYS, gateway), ("HDEL", redis_keys.GATEWAY_ADDRESSES, gateway)]
        await self._client.call(ending, _CALL_SECONDS)

    async def acknowledge(self, gateway: str, revocation: str) -> None:
        """Record an acknowledgement."""
        key = redis_keys.acknowledged(revocation)
        await self._client.call([("SADD", key, gateway), ("EXPIRE", key, _ACKNOWLEDGED_SECONDS)], _CALL_SECONDS)

    async def unacknowledged(self, revocation: str) -> frozenset[str] | None:
        """Gateways that have not acknowledged."""
        command = self._scripts.unacknowledged.call([*self._record, redis_keys.acknowledged(revocation)])
        ((age, *gateways),) = await self._client.call([command], _CALL_SECONDS)
        return frozenset(gateway.decode() for gateway in gateways) if age >= _LEASE_MILLISECONDS else None

    async def addresses(self) -> dict[str, str]:
        """Addresses of the gateways that hold a lease."""
        command = self._scripts.gateway_addresses.call([redis_keys.GATEWAYS, redis_keys.GATEWAY_ADDRESSES])
        (pairs,) = await self._client.call([command], _CALL_SECONDS)
        words = [each.decode() for each in pairs]
        return dict(zip(words[::2], words[1::2], strict=True))

    def close(self) -> None:
        """Close the connection."""
        self._client.close()


class MemoryGatewayLeases:
    """Leases in this process, for tests. `unacknowledged` never returns None."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._ends: dict[str, float] = {}
        """When each gateway's lease ends."""
        self._acknowledged: dict[str, set[str]] = {}
        """Gateways by revocation; never forgotten."""
        self._addresses: dict[str, str] = {}

    async def renew(self, gateway: str, address: str = "") -> None:
        """Take or renew a lease."""
        self._ends[gateway] = self._clock() + LEASE_SECONDS
        self._addresses[gateway] = address

    async def leave(self, gateway: str) -> None:
        """End a lease."""
        self._ends.pop(gateway, None)

    async def acknowledge(self, gateway: str, revocation: str) -> None:
        """Record an acknowledgement."""
        self._acknowledged.setdefault(revocation, set()).add(gateway)

    async def unacknowledged(self, revocation: str) -> frozenset[str]:
        """Gateways that have not acknowledged."""
        return frozenset(self._valid() - self._acknowledged.get(revocation, set()))

    async def addresses(self) -> dict[str, str]:
        """Addresses of the gateways that hold a lease."""
        valid = self._valid()
        return {gateway: address for gateway, address in self._addresses.items() if gateway in valid and address}

    def _valid(self) -> set[str]:
        now = self._clock()
        return {gateway for gateway, end in self._ends.items() if end > now}


@asynccontextmanager
async def open_gateway_leases(url: str) -> AsyncIterator[GatewayLeases]:
    """Yield the leases kept on the server at `url`. Raises ValueError for a malformed URL."""
    leases = RedisGatewayLeases(url)
    try:
        yield leases
    finally:
        leases.close()

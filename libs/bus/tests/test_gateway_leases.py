"""Contract suite for gateway leases: a gateway whose lease may still be valid is never left out of the answer."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest
import redis.asyncio

from bus.bus import BusUnavailable
from bus.gateway_leases import LEASE_SECONDS, GatewayLeases, MemoryGatewayLeases, RedisGatewayLeases

if TYPE_CHECKING:
    from libs.bus.tests.conftest import Server

Open = Callable[[], GatewayLeases]


@pytest.fixture
def leases_of(address: str) -> Iterator[Open]:
    """Return a function that opens the leases as if from another process."""
    if address == "memory://":
        one = MemoryGatewayLeases()
        yield lambda: one
        return
    with contextlib.ExitStack() as stack:
        yield lambda: stack.enter_context(contextlib.closing(RedisGatewayLeases(address)))


@pytest.fixture
def leases(server: Server) -> Iterator[GatewayLeases]:
    """Return the leases on a server that the test may kill."""
    with contextlib.closing(RedisGatewayLeases(server.url)) as leases:
        yield leases


async def unacknowledged(leases: GatewayLeases, revocation: str, *renewing: str) -> frozenset[str]:
    """Wait until the record is old enough, and return the gateways. `renewing` gateways renew their leases meanwhile."""
    async with asyncio.timeout(5):
        while True:
            for gateway in renewing:
                await leases.renew(gateway)
            if (gateways := await leases.unacknowledged(revocation)) is not None:
                return gateways
            await asyncio.sleep(0.05)


async def test_the_address_of_a_gateway_is_known_as_long_as_its_lease(leases_of: Open) -> None:
    one, two = leases_of(), leases_of()
    await one.renew("a", "10.0.0.1:9000")
    await one.renew("b", "10.0.0.2:9000")
    await one.renew("c")
    assert await two.addresses() == {"a": "10.0.0.1:9000", "b": "10.0.0.2:9000"}
    await one.leave("a")
    assert await two.addresses() == {"b": "10.0.0.2:9000"}
    async with asyncio.timeout(5):
        while await two.addresses():
            await one.renew("c")
            await asyncio.sleep(0.05)
    await one.renew("b")
    assert await two.addresses() == {}  # the address went with the lease


async def test_a_gateway_with_a_lease_is_listed_until_it_acknowledges(leases_of: Open) -> None:
    one, two = leases_of(), leases_of()
    await one.renew("a")
    assert await unacknowledged(two, "revocation", "a", "b") == {"a", "b"}
    await one.acknowledge("a", "revocation")
    assert await unacknowledged(two, "revocation", "a", "b") == {"b"}
    assert await unacknowledged(two, "another", "a", "b") == {"a", "b"}


async def test_a_gateway_that_does_not_renew_is_listed_until_its_lease_ends(leases_of: Open) -> None:
    leases = leases_of()
    await unacknowledged(leases, "revocation", "a")
    began = time.monotonic()
    await leases.renew("a")
    async with asyncio.timeout(LEASE_SECONDS + 10):
        while await leases.unacknowledged("revocation"):  # noqa: ASYNC110 (only time ends a lease)
            await asyncio.sleep(0.02)
    assert time.monotonic() - began >= LEASE_SECONDS


async def test_a_gateway_that_leaves_is_not_listed(leases_of: Open) -> None:
    leases = leases_of()
    await unacknowledged(leases, "revocation", "a")
    await leases.leave("a")
    assert await leases.unacknowledged("revocation") == frozenset()


async def test_after_a_wipe_the_gateways_are_unknown(leases: GatewayLeases, admin: redis.asyncio.Redis) -> None:
    await unacknowledged(leases, "revocation", "a")
    await admin.flushall()
    assert await leases.unacknowledged("revocation") is None
    assert await unacknowledged(leases, "revocation", "a") == {"a"}


async def test_after_a_restart_the_gateways_are_unknown(leases: GatewayLeases, server: Server) -> None:
    await unacknowledged(leases, "revocation", "a")
    await server.kill()
    with pytest.raises(BusUnavailable):
        await leases.unacknowledged("revocation")
    await server.start()
    async with asyncio.timeout(5):
        while True:
            with contextlib.suppress(BusUnavailable):
                assert await leases.unacknowledged("revocation") is None
                return
            await asyncio.sleep(0.05)

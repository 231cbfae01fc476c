"""What leases promises: whoever may still believe itself present is awaited, whatever happens to it or to the server."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest
import redis.asyncio

from bus.bus import BusUnavailable
from bus.gateway_leases import LEASE_SECONDS, GatewayLeases, RedisGatewayLeases
from bus.memory_gateway_leases import MemoryGatewayLeases

if TYPE_CHECKING:
    from libs.bus.tests.conftest import Server

Open = Callable[[], GatewayLeases]


@pytest.fixture
def leases_of(address: str) -> Iterator[Open]:
    """Return what opens the group as another process would see it."""
    if address == "memory://":
        one = MemoryGatewayLeases()
        yield lambda: one
        return
    with contextlib.ExitStack() as stack:
        yield lambda: stack.enter_context(contextlib.closing(RedisGatewayLeases(address)))


@pytest.fixture
def leases(server: Server) -> Iterator[GatewayLeases]:
    """Return the group on a server that the test may kill."""
    with contextlib.closing(RedisGatewayLeases(server.url)) as leases:
        yield leases


async def known(leases: GatewayLeases, matter: str, *renewing: str) -> frozenset[str]:
    """Who is awaited, once that can be known; `renewing` members keep their places meanwhile."""
    async with asyncio.timeout(5):
        while True:
            for member in renewing:
                await leases.renew(member)
            if (awaited := await leases.unacknowledged(matter)) is not None:
                return awaited
            await asyncio.sleep(0.05)


async def test_who_is_present_is_awaited_until_it_confirms(leases_of: Open) -> None:
    one, two = leases_of(), leases_of()
    await one.renew("a")
    assert await known(two, "matter", "a", "b") == {"a", "b"}
    await one.acknowledge("a", "matter")
    assert await known(two, "matter", "a", "b") == {"b"}
    assert await known(two, "another", "a", "b") == {"a", "b"}


async def test_a_gateway_that_does_not_renew_is_awaited_until_its_lease_ends(leases_of: Open) -> None:
    leases = leases_of()
    await known(leases, "matter", "a")
    began = time.monotonic()
    await leases.renew("a")
    async with asyncio.timeout(LEASE_SECONDS + 10):
        while await leases.unacknowledged("matter"):  # noqa: ASYNC110 (only time ends a lease)
            await asyncio.sleep(0.02)
    assert time.monotonic() - began >= LEASE_SECONDS


async def test_who_leaves_is_not_awaited(leases_of: Open) -> None:
    leases = leases_of()
    await known(leases, "matter", "a")
    await leases.leave("a")
    assert await leases.unacknowledged("matter") == frozenset()


async def test_after_a_wipe_nobody_is_missed_because_nobody_is_known(leases: GatewayLeases, admin: redis.asyncio.Redis) -> None:
    await known(leases, "matter", "a")
    await admin.flushall()
    assert await leases.unacknowledged("matter") is None
    assert await known(leases, "matter", "a") == {"a"}


async def test_after_a_restart_the_record_is_young(leases: GatewayLeases, server: Server) -> None:
    await known(leases, "matter", "a")
    await server.kill()
    with pytest.raises(BusUnavailable):
        await leases.unacknowledged("matter")
    await server.start()
    async with asyncio.timeout(5):
        while True:
            with contextlib.suppress(BusUnavailable):
                assert await leases.unacknowledged("matter") is None
                return
            await asyncio.sleep(0.05)

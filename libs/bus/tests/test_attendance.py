"""What attendance promises: whoever may still believe itself present is awaited, whatever happens to it or to the server."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest
import redis.asyncio

from bus.attendance import LEASE_SECONDS, Attendance, RedisAttendance
from bus.bus import BusUnavailable
from bus.memory_attendance import MemoryAttendance

if TYPE_CHECKING:
    from libs.bus.tests.conftest import Server

Open = Callable[[], Attendance]


@pytest.fixture
def attendance_of(address: str) -> Iterator[Open]:
    """Return what opens the group as another process would see it."""
    if address == "memory://":
        one = MemoryAttendance()
        yield lambda: one
        return
    with contextlib.ExitStack() as stack:
        yield lambda: stack.enter_context(contextlib.closing(RedisAttendance(address, "gateways")))


@pytest.fixture
def attendance(server: Server) -> Iterator[Attendance]:
    """Return the group on a server that the test may kill."""
    with contextlib.closing(RedisAttendance(server.url, "gateways")) as attendance:
        yield attendance


async def known(attendance: Attendance, matter: str, *renewing: str) -> frozenset[str]:
    """Who is awaited, once that can be known; `renewing` members keep their places meanwhile."""
    async with asyncio.timeout(5):
        while True:
            for member in renewing:
                await attendance.attend(member)
            if (awaited := await attendance.awaited(matter)) is not None:
                return awaited
            await asyncio.sleep(0.05)


async def test_who_is_present_is_awaited_until_it_confirms(attendance_of: Open) -> None:
    one, two = attendance_of(), attendance_of()
    await one.attend("a")
    assert await known(two, "matter", "a", "b") == {"a", "b"}
    await one.confirm("a", "matter")
    assert await known(two, "matter", "a", "b") == {"b"}
    assert await known(two, "another", "a", "b") == {"a", "b"}


async def test_who_does_not_renew_is_awaited_no_longer_than_its_lease(attendance_of: Open) -> None:
    attendance = attendance_of()
    await known(attendance, "matter", "a")
    began = time.monotonic()
    await attendance.attend("a")
    async with asyncio.timeout(5):
        while await attendance.awaited("matter"):  # noqa: ASYNC110 (time is what is awaited)
            await asyncio.sleep(0.02)
    assert LEASE_SECONDS <= time.monotonic() - began < LEASE_SECONDS + 1


async def test_who_leaves_is_not_awaited(attendance_of: Open) -> None:
    attendance = attendance_of()
    await known(attendance, "matter", "a")
    await attendance.leave("a")
    assert await attendance.awaited("matter") == frozenset()


async def test_after_a_wipe_nobody_is_missed_because_nobody_is_known(attendance: Attendance, admin: redis.asyncio.Redis) -> None:
    await known(attendance, "matter", "a")
    await admin.flushall()
    assert await attendance.awaited("matter") is None
    assert await known(attendance, "matter", "a") == {"a"}


async def test_after_a_restart_the_record_is_young(attendance: Attendance, server: Server) -> None:
    await known(attendance, "matter", "a")
    await server.kill()
    with pytest.raises(BusUnavailable):
        await attendance.awaited("matter")
    await server.start()
    async with asyncio.timeout(5):
        while True:
            with contextlib.suppress(BusUnavailable):
                assert await attendance.awaited("matter") is None
                return
            await asyncio.sleep(0.05)

"""Who of a group is present right now, and who of them has confirmed that something is done.

For the few matters that must hold at every process before a caller is answered. A member keeps its place by renewing a short
lease. Whoever asks learns of every member that may still believe itself present, so a member must stop acting as one
`LEASE_SECONDS` after it *began* the last renewal that succeeded: then "nobody is awaited any more" is true whatever hangs, has
died or was cut off. The server's own clock ends leases; it must not be set forward by a second or more at a stroke.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol

from bus import redis_keys
from bus.redis_connection import Address
from bus.redis_link import Link
from bus.redis_scripts import Scripts

GATEWAYS = "gateways"
"""The group of those at whom a decision about a user must hold."""
LEASE_SECONDS = 1.5
"""How long a member counts as present after a renewal."""
_CALL_SECONDS = 1.0
_CONFIRMED_SECONDS = 60
"""How long confirmations are remembered."""


class Attendance(Protocol):
    """One group. Every call has a deadline of its own and raises `BusUnavailable` past it."""

    async def attend(self, member: str) -> None:
        """Be present from now on, for `LEASE_SECONDS` at least."""
        ...

    async def leave(self, member: str) -> None:
        """Be present no longer."""
        ...

    async def confirm(self, member: str, matter: str) -> None:
        """Say that a matter (an id) is done, as far as the member is concerned."""
        ...

    async def awaited(self, matter: str) -> frozenset[str] | None:
        """Members that are present and have not confirmed; None while that cannot be known, as the record is too young."""
        ...


class RedisAttendance:
    """A group on a Redis or Valkey server."""

    def __init__(self, url: str, group: str) -> None:
        self._scripts = Scripts.read()
        self._link = Link(Address.parse(url), self._scripts.sources())
        """Of its own: a renewal must not queue behind anything."""
        self._group = group
        self._record = [redis_keys.places(group), redis_keys.birth(group)]

    async def attend(self, member: str) -> None:
        """Be present."""
        command = self._scripts.attend.call(self._record, member, int(LEASE_SECONDS * 1000))
        await self._link.call([command], _CALL_SECONDS)

    async def leave(self, member: str) -> None:
        """Be present no longer."""
        await self._link.call([("ZREM", redis_keys.places(self._group), member)], _CALL_SECONDS)

    async def confirm(self, member: str, matter: str) -> None:
        """Say that a matter is done."""
        key = redis_keys.confirmed(self._group, matter)
        await self._link.call([("SADD", key, member), ("EXPIRE", key, _CONFIRMED_SECONDS)], _CALL_SECONDS)

    async def awaited(self, matter: str) -> frozenset[str] | None:
        """Who is awaited."""
        command = self._scripts.awaited.call([*self._record, redis_keys.confirmed(self._group, matter)])
        ((age, *members),) = await self._link.call([command], _CALL_SECONDS)
        return frozenset(member.decode() for member in members) if age >= LEASE_SECONDS * 1000 else None

    def close(self) -> None:
        """Drop the connection."""
        self._link.close()


@asynccontextmanager
async def open_attendance(url: str, group: str) -> AsyncIterator[Attendance]:
    """Yield the group's attendance, kept on the server at `url`. Raises ValueError."""
    attendance = RedisAttendance(url, group)
    try:
        yield attendance
    finally:
        attendance.close()

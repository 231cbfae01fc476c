"""Attendance inside one process: for tests of what uses it, held to the same contract suite as the real one."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from bus.attendance import LEASE_SECONDS


class MemoryAttendance:
    """One group in memory. See `attendance.Attendance` for what a caller may rely on; nobody is ever unknown here."""

    def __init__(self, clock: Callable[[], float] | None = None) -> None:
        self._clock = clock or (lambda: asyncio.get_running_loop().time())
        """Seconds, from anywhere."""
        self._places: dict[str, float] = {}
        """Members by the end of their leases."""
        self._confirmed: dict[str, set[str]] = {}
        """Who has confirmed, by matter; kept for ever."""

    async def attend(self, member: str) -> None:
        """Be present."""
        self._places[member] = self._clock() + LEASE_SECONDS

    async def leave(self, member: str) -> None:
        """Be present no longer."""
        self._places.pop(member, None)

    async def confirm(self, member: str, matter: str) -> None:
        """Say that a matter is done."""
        self._confirmed.setdefault(matter, set()).add(member)

    async def awaited(self, matter: str) -> frozenset[str]:
        """Who is awaited."""
        now = self._clock()
        present = {member for member, until in self._places.items() if until > now}
        return frozenset(present - self._confirmed.get(matter, set()))

"""A coalescing queue for one gateway: a newer presence of a user replaces the one that was not sent yet.

It holds at most one presence per watched user, however slowly the gateway reads.
"""

from __future__ import annotations

import asyncio

from presence import metrics
from presence.leases import Presence, User

_BATCH = 500


class LatestPresences:
    """The unsent presences of one gateway."""

    def __init__(self) -> None:
        self.watched: set[User] = set()
        """Users whose presences are queued."""
        self._queued: dict[User, Presence] = {}
        self._versions: dict[User, int] = {}
        """The last queued version of each watched user. It detects a stored presence that was read before a newer change."""
        self._wake = asyncio.Event()
        """Set while a presence is queued, and when closed."""
        self._closed = False

    def put(self, presence: Presence) -> None:
        """Queue a presence, unless its user is not watched or its version is not newer than the last one."""
        user = presence.user
        if user not in self.watched or presence.version <= self._versions.get(user, -1):
            return
        if user in self._queued:
            metrics.CONFLATED.inc()
        self._versions[user] = presence.version
        self._queued[user] = presence
        self._wake.set()

    def drop(self, user: User) -> None:
        """Stop watching a user. After watching it again, any version counts as new."""
        self.watched.discard(user)
        self._queued.pop(user, None)
        self._versions.pop(user, None)

    async def take(self) -> list[Presence]:
        """Wait for presences and remove up to 500 of them. Return an empty list once closed."""
        while not self._queued and not self._closed:
            self._wake.clear()
            await self._wake.wait()
        if self._closed:
            return []
        users = list(self._queued)[:_BATCH]
        return [self._queued.pop(user) for user in users]

    def close(self) -> None:
        """End every present and future `take`."""
        self._closed = True
        self._wake.set()

"""Presences on their way to one gateway: the latest of each user, however slowly they are taken.

Leaves sending to `service`.
"""

from __future__ import annotations

import asyncio

from presence import metrics
from presence.here import Presence, User

_BATCH = 500


class Outbox:
    """A queue in which a user's newer presence takes the place of an older one: it holds at most one of each watched user."""

    def __init__(self) -> None:
        self.watched: set[User] = set()
        """Whose presences are wanted."""
        self._waiting: dict[User, Presence] = {}
        self._versions: dict[User, int] = {}
        """What was put last of each watched user: a reading may be overtaken by a change."""
        self._some = asyncio.Event()
        """Set while something waits, and when closed."""
        self._closed = False

    def put(self, presence: Presence) -> None:
        """Add a presence, unless it is not wanted or no newer than what was put before."""
        user = presence.user
        if user not in self.watched or presence.version <= self._versions.get(user, -1):
            return
        if user in self._waiting:
            metrics.CONFLATED.inc()
        self._versions[user] = presence.version
        self._waiting[user] = presence
        self._some.set()

    def drop(self, user: User) -> None:
        """Want nothing more of a user; wanted again, the present presence comes again."""
        self.watched.discard(user)
        self._waiting.pop(user, None)
        self._versions.pop(user, None)

    async def take(self) -> list[Presence]:
        """Wait for some and take them; none once closed."""
        while not self._waiting and not self._closed:
            self._some.clear()
            await self._some.wait()
        if self._closed:
            return []
        users = list(self._waiting)[:_BATCH]
        return [self._waiting.pop(user) for user in users]

    def close(self) -> None:
        """Let whoever waits find nothing."""
        self._closed = True
        self._some.set()

"""Who watches whom at this instance: hears every change from Redis and hands it to the attachments that watch the user.

Leaves delivering to `outbox`. A change is heard once per instance however many watch; after trouble with Redis
everything watched is read anew, so nobody keeps seeing what is no longer so.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import Sequence

import redis.asyncio
import redis.exceptions
import structlog

from presence import metrics
from presence.errors import StoreUnavailable, store_errors
from presence.here import Presence, User
from presence.leases import CHANGES, Leases
from presence.outbox import Outbox

_SILENCE_SECONDS = 5.0
"""How long the channel may be silent before a probe."""
_LONGEST_PAUSE_SECONDS = 1.0

_log = structlog.get_logger(__name__)


class Watch:
    """The watched users of one instance."""

    def __init__(self, client: redis.asyncio.Redis, leases: Leases) -> None:
        self._client = client
        self._leases = leases
        self._watchers: dict[User, set[Outbox]] = {}
        self.hearing = asyncio.Event()
        """Set while changes are heard."""

    async def add(self, outbox: Outbox, users: Sequence[User]) -> None:
        """Hand `outbox` the presence of users now and at each change. Raises StoreUnavailable."""
        for user in users:
            self._watchers.setdefault(user, set()).add(outbox)
            outbox.watched.add(user)
        metrics.WATCHED.set(len(self._watchers))
        for presence in await self._leases.presences(users):
            outbox.put(presence)

    def remove(self, outbox: Outbox, users: Sequence[User]) -> None:
        """Hand `outbox` nothing more of users."""
        for user in users:
            outbox.drop(user)
            watchers = self._watchers.get(user)
            if watchers is not None:
                watchers.discard(outbox)
                if not watchers:
                    del self._watchers[user]
        metrics.WATCHED.set(len(self._watchers))

    def watches(self, user: User) -> bool:
        """Tell whether anybody watches a user here."""
        return user in self._watchers

    async def run(self) -> None:
        """Hear changes for as long as the process lives."""
        failures = 0
        while True:
            try:
                async with self._client.pubsub() as channel:
                    await self._hear(channel)
            except StoreUnavailable:
                failures = failures + 1 if not self.hearing.is_set() else 1
                _log.warning("watch_interrupted", failures=failures)
                self.hearing.clear()
                longest = min(_LONGEST_PAUSE_SECONDS, 0.02 * 2 ** min(failures, 10))
                await asyncio.sleep(longest * random.uniform(0.5, 1.0))

    async def _hear(self, channel: redis.asyncio.client.PubSub) -> None:
        with store_errors():
            await channel.subscribe(CHANGES)
        while True:
            if not await self._next(channel):
                with store_errors():
                    await channel.ping()
                if not await self._next(channel):
                    raise StoreUnavailable

    async def _next(self, channel: redis.asyncio.client.PubSub) -> bool:
        """Take a message and do what it asks for; False after a silence."""
        with store_errors():
            message = await channel.get_message(timeout=_SILENCE_SECONDS)
        match message and message["type"]:
            case "message":
                for user, status, seen, version in json.loads(message["data"]):
                    self._hand_on(Presence(User(user), status, int(seen) if seen else None, int(version)))
            case "subscribe":  # also when the client subscribed again by itself after a lost connection
                await self._read_anew()
                self.hearing.set()
        return message is not None

    async def _read_anew(self) -> None:
        for presence in await self._leases.presences(list(self._watchers)):
            self._hand_on(presence)

    def _hand_on(self, presence: Presence) -> None:
        for outbox in self._watchers.get(presence.user, ()):
            outbox.put(presence)

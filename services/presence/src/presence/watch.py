"""The users watched through this instance: receives every presence change from Redis and queues it for the watching gateways.

Redis sends each change once per instance, however many gateways watch. After a failure all watched users are read again, so no
gateway keeps an outdated presence.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence

import redis.asyncio
import structlog

from chassis.backoff import Backoff
from presence import metrics
from presence.errors import StoreUnavailable, store_errors
from presence.latest import LatestPresences
from presence.leases import CHANGES, Leases, Presence, User

_SILENCE_SECONDS = 5.0
"""How long the channel may be silent before a PING."""

_log = structlog.get_logger(__name__)


class Watch:
    """The watched users of one instance, and the queues of the gateways that watch them."""

    def __init__(self, client: redis.asyncio.Redis, leases: Leases) -> None:
        self._client = client
        self._leases = leases
        self._watchers: dict[User, set[LatestPresences]] = {}
        self.subscribed = asyncio.Event()
        """Set while changes are received."""

    async def add(self, latest: LatestPresences, users: Sequence[User]) -> None:
        """Queue the presence of `users` now and after each change. Raises StoreUnavailable."""
        for user in users:
            self._watchers.setdefault(user, set()).add(latest)
            latest.watched.add(user)
        metrics.WATCHED.set(len(self._watchers))
        for presence in await self._leases.presences(users):
            latest.put(presence)

    def remove(self, latest: LatestPresences, users: Sequence[User]) -> None:
        """Stop queueing presences of `users`."""
        for user in users:
            latest.drop(user)
            watchers = self._watchers.get(user)
            if watchers is not None:
                watchers.discard(latest)
                if not watchers:
                    del self._watchers[user]
        metrics.WATCHED.set(len(self._watchers))

    def watches(self, user: User) -> bool:
        """Return whether any gateway watches a user through this instance."""
        return user in self._watchers

    async def run(self) -> None:
        """Receive changes until cancelled."""
        backoff = Backoff()
        while True:
            try:
                async with self._client.pubsub() as channel:
                    await self._receive(channel)
            except StoreUnavailable:
                _log.warning("watch_interrupted")
                if self.subscribed.is_set():
                    backoff.succeeded()
                self.subscribed.clear()
                await backoff.wait()

    async def _receive(self, channel: redis.asyncio.client.PubSub) -> None:
        with store_errors():
            await channel.subscribe(CHANGES)
        while True:
            if not await self._next(channel):
                with store_errors():
                    await channel.ping()
                if not await self._next(channel):
                    raise StoreUnavailable

    async def _next(self, channel: redis.asyncio.client.PubSub) -> bool:
        """Process the next message. Return False after a silence."""
        with store_errors():
            message = await channel.get_message(timeout=_SILENCE_SECONDS)
        match message and message["type"]:
            case "message":
                for user, status, seen, version in json.loads(message["data"]):
                    self._deliver(Presence(User(user), status, int(seen) if seen else None, int(version)))
            case "subscribe":  # also when the client resubscribed after a lost connection
                for presence in await self._leases.presences(list(self._watchers)):
                    self._deliver(presence)
                self.subscribed.set()
        return message is not None

    def _deliver(self, presence: Presence) -> None:
        for latest in self._watchers.get(presence.user, ()):
            latest.put(presence)

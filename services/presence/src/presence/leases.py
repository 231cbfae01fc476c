"""Presence's state in Redis: gateways' leases, their connections, and the presence of users.

Every operation is one atomic script (`lua/`; `state.lua` describes the keys), so instances may run them concurrently.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, NewType

import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from chassis import redis_check
from chassis.lifecycle import Unusable
from presence.errors import LeaseLost, StoreUnavailable, cause_of, store_errors

CHANGES = "presence:changes"
"""The channel on which scripts publish changed presences."""
_PROBE = "presence:probe"
"""A key that expires at once, written to learn whether the server accepts writes."""
CHUNK = 500
"""Connections or users per script, which blocks the server while it runs."""
_CALL_SECONDS = 2.0


User = NewType("User", str)
"""tenant/id. A tenant contains no slash."""

STATUSES = frozenset({"online", "away", "dnd"})
"""The statuses of a connection. A user without a connection is `offline`."""


@dataclass(frozen=True, slots=True)
class Presence:
    """A user's presence."""

    user: User
    status: str
    """online, away, dnd or offline."""
    seen_milliseconds: int | None
    """When the user was last connected, since the epoch. None while connected, and if never seen."""
    version: int
    """Incremented with each change of the user's presence; 0 if never seen."""


@dataclass(frozen=True, slots=True)
class Change:
    """A connection that opened, changed its status or closed."""

    user: User
    connection: str
    status: str
    """Empty when it closed."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Durations. A disconnected user goes offline when the grace period ends; after a gateway crash, the lease ends first."""

    lease_milliseconds: int = 7_000
    grace_milliseconds: int = 5_000
    """How long a closed connection still counts, so that a reconnect within it does not change the presence."""


def server_clock() -> int:
    """Select the clock of the Redis server, which all instances share."""
    return 0


@asynccontextmanager
async def connect(url: str) -> AsyncIterator[redis.asyncio.Redis]:
    """Yield a client with a deadline per call. It retries once after a lost connection, because the scripts are idempotent."""
    client = redis.asyncio.Redis.from_url(
        url,
        max_connections=64,
        socket_timeout=_CALL_SECONDS,
        socket_connect_timeout=_CALL_SECONDS,
        retry=Retry(NoBackoff(), 1),
        decode_responses=True,
    )
    try:
        yield client
    finally:
        await client.aclose()


class Leases:
    """The operations on presence's state. Each raises `StoreUnavailable`."""

    def __init__(
        self, client: redis.asyncio.Redis, timing: Timing | None = None, clock: Callable[[], int] = server_clock
    ) -> None:
        self._client = client
        self._timing = timing or Timing()
        self._clock = clock
        """Milliseconds since the epoch; 0 selects the server's clock."""
        scripts = files("presence") / "lua"
        state = (scripts / "state.lua").read_text()

        def script(name: str) -> Any:
            return client.register_script(state + (scripts / f"{name}.lua").read_text())

        self._attach, self._report = script("attach"), script("report")
        self._expire_leases, self._expire_grace = script("expire_leases"), script("expire_grace")
        self._disconnect_detached = script("disconnect_detached")

    @property
    def renewal_seconds(self) -> float:
        """Interval at which an attached gateway's lease is renewed: 3.5 times per lease."""
        return self._timing.lease_milliseconds / 3_500

    async def attach(self, gateway: str, attachment: str) -> None:
        """Grant `gateway` a lease, owned by `attachment`. Its earlier connections count for the grace period only."""
        await self._run(self._attach, gateway, attachment, self._timing.lease_milliseconds)

    async def report(self, gateway: str, attachment: str, changes: Sequence[Change]) -> int:
        """Renew the lease and apply changes in order. Return how many times a user's presence changed.

        Raises LeaseLost when `attachment` does not own the lease. Changes before the failing chunk may have been applied.
        """
        changed = 0
        for chunk in _chunks(changes):
            flat = [text for change in chunk for text in (change.user, change.connection, change.status)]
            answer = await self._run(self._report, gateway, attachment, self._timing.lease_milliseconds, *flat)
            if answer < 0:
                raise LeaseLost
            changed += answer
        return changed

    async def expire_leases(self) -> int:
        """End up to 100 expired leases. Return how many ended."""
        return await self._run(self._expire_leases)

    async def disconnect_detached(self) -> int:
        """Disconnect connections of gateways that left or attached again. Return how many were processed; 0 if none are left."""
        return await self._run(self._disconnect_detached, CHUNK)

    async def expire_grace(self) -> int:
        """Update users with an expired grace period. Return how many; fewer than `CHUNK` means that none are left."""
        return await self._run(self._expire_grace, CHUNK)

    async def presences(self, users: Sequence[User]) -> list[Presence]:
        """Return the current presences of `users`, in order."""
        found: list[Presence] = []
        for start in range(0, len(users), CHUNK):
            chunk = users[start : start + CHUNK]
            with store_errors():
                async with self._client.pipeline(transaction=False) as pipeline:
                    for user in chunk:
                        pipeline.hmget(f"presence:user:{user}", ["shown", "seen", "version"])
                    answers = await pipeline.execute()
            found += [
                Presence(user, shown or "offline", int(seen) if seen else None, int(version or 0))
                for user, (shown, seen, version) in zip(chunk, answers, strict=True)
            ]
        return found

    async def check(self) -> None:
        """Raise `Unusable` unless Redis accepts writes and is a server on which the scripts work."""
        try:
            with store_errors():
                information = await self._client.info(*redis_check.SECTIONS)
                if cause := redis_check.unfit({name: str(value) for name, value in information.items()}):
                    raise Unusable(cause)
                await self._client.set(_PROBE, "", px=1)
        except StoreUnavailable as error:
            raise Unusable(cause_of(error)) from error

    async def _run(self, script: Any, *arguments: str | int) -> int:
        with store_errors():
            answer = await script(args=[self._clock(), self._timing.grace_milliseconds, *arguments])
        return int(answer)


def _chunks(changes: Sequence[Change]) -> list[Sequence[Change]]:
    """Split into chunks. Without changes, return one empty chunk, which renews the lease."""
    return [changes[start : start + CHUNK] for start in range(0, len(changes), CHUNK)] or [()]

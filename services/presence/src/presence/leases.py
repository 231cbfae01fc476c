"""Everything presence keeps, in its Redis: gateways' leases, their connections, what users show.

Every step is one atomic script (`lua/`, `state.lua` describes the keys), so any number of instances may take it. Leaves who
asks to `attachment` and `sweeper`, and who listens to `watch`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import redis.asyncio
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from presence.errors import LeaseLost, store_errors
from presence.here import Change, Presence, User

CHANGES = "presence:changes"
"""The channel on which scripts publish what changed."""
CHUNK = 500
"""Connections or users per script: the server does nothing else meanwhile."""
_CALL_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Timing:
    """How long things last. A killed gateway's users show offline after lease and grace, a disconnected one's after the grace."""

    lease_milliseconds: int = 7_000
    grace_milliseconds: int = 5_000
    """How long a connection that left still counts, so that coming back within it shows nothing."""


def server_clock() -> int:
    """Leave the time to the Redis server, which all instances share."""
    return 0


@asynccontextmanager
async def connect(url: str) -> AsyncIterator[redis.asyncio.Redis]:
    """Yield a client whose every call has a deadline; scripts can be repeated, so a lost connection is tried once more."""
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
    """What presence keeps. Every call raises `StoreUnavailable`."""

    def __init__(
        self, client: redis.asyncio.Redis, timing: Timing | None = None, clock: Callable[[], int] = server_clock
    ) -> None:
        self._client = client
        self._timing = timing or Timing()
        self._clock = clock
        """Milliseconds since the epoch, 0 for the server's own."""
        scripts = files("presence") / "lua"
        state = (scripts / "state.lua").read_text()

        def script(name: str) -> Any:
            return client.register_script(state + (scripts / f"{name}.lua").read_text())

        self._attach, self._report = script("attach"), script("report")
        self._reap, self._work_off, self._sweep = script("reap"), script("work_off"), script("sweep")

    @property
    def renewal_seconds(self) -> float:
        """How often an attached gateway's lease should be renewed."""
        return self._timing.lease_milliseconds / 3_500

    async def attach(self, gateway: str, attachment: str) -> None:
        """Give `gateway` its lease, in the name of `attachment`. What it reported before counts for the grace time only."""
        await self._run(self._attach, gateway, attachment, self._timing.lease_milliseconds)

    async def report(self, gateway: str, attachment: str, changes: Sequence[Change]) -> int:
        """Renew the lease and take changes, in order; returns how many users' presence changed by them.

        Raises LeaseLost when the lease is not that attachment's; then changes before the failing chunk may have been taken.
        """
        changed = 0
        for chunk in _chunks(changes):
            flat = [text for change in chunk for text in (change.user, change.connection, change.status)]
            answer = await self._run(self._report, gateway, attachment, self._timing.lease_milliseconds, *flat)
            if answer < 0:
                raise LeaseLost
            changed += answer
        return changed

    async def reap(self) -> int:
        """End the leases whose time is up; returns how many."""
        return await self._run(self._reap)

    async def work_off(self) -> int:
        """Let some connections leave whose gateway left or attached anew; returns how many, 0 when there are no more."""
        return await self._run(self._work_off, CHUNK)

    async def sweep(self) -> int:
        """Show anew some users whose grace is over; returns how many, below `CHUNK` when there are no more."""
        return await self._run(self._sweep, CHUNK)

    async def presences(self, users: Sequence[User]) -> list[Presence]:
        """What users show now, in the order asked."""
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

    async def ping(self) -> None:
        """Raise StoreUnavailable unless Redis answers."""
        with store_errors():
            await self._client.ping()

    async def _run(self, script: Any, *arguments: str | int) -> int:
        with store_errors():
            answer = await script(args=[self._clock(), self._timing.grace_milliseconds, *arguments])
        return int(answer)


def _chunks(changes: Sequence[Change]) -> list[Sequence[Change]]:
    """Cut into chunks; nothing is one empty chunk, which only renews."""
    return [changes[start : start + CHUNK] for start in range(0, len(changes), CHUNK)] or [()]

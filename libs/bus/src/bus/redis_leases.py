"""The leases of one member on the topics of its group: taken, renewed and released.

`lua/rebalance.lua` assigns them, atomically, ten times per lease: living members in the order of their names, a fair share each.
What is done with a leased topic is left to `redis_work`, whose members remove entries, and `redis_read`, whose instances do not.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bus import redis_keys
from bus.redis_client import CALL_SECONDS, Client
from bus.redis_scripts import Scripts

_HEARTBEATS_PER_LEASE = 10


@dataclass(frozen=True, slots=True)
class Renewal:
    """The answer to a heartbeat."""

    until: float
    """`time.monotonic` at which the leases end unless they are renewed."""
    fair_share: int
    """How many topics this member should hold."""
    backlog: Mapping[str, int]
    """Entries by topic; -1 for a topic that this member does not hold."""


class Leases:
    """One member's leases."""

    def __init__(
        self, client: Client, scripts: Scripts, topics: Sequence[str], *, group: str, consumer: str, lease_seconds: float
    ) -> None:
        self._client = client
        self._scripts = scripts
        self._streams = {name: redis_keys.stream(name) for name in topics}
        """Stream keys by topic name."""
        self._leases = {name: redis_keys.lease(group, name) for name in topics}
        """Lease keys by topic name."""
        self._members = redis_keys.members(group)
        self._token = f"{consumer}:{secrets.token_hex(8)}"
        """Identifies this member. A restarted consumer gets a new token and takes over its predecessor's leases."""
        self._first = True
        """No heartbeat has been answered yet."""
        self._seconds = lease_seconds

    @property
    def heartbeat_seconds(self) -> float:
        """The time between two heartbeats."""
        return self._seconds / _HEARTBEATS_PER_LEASE

    async def renew(self) -> Renewal:
        """Renew the leases, and take free ones up to the fair share. Raises `BusUnavailable`."""
        sent_at = time.monotonic()
        keys, streams = [self._members, *self._leases.values()], self._streams.values()
        rebalance = self._scripts.rebalance.call(keys, self._token, int(self._seconds * 1000), int(self._first), *streams)
        ((fair_share, *backlogs),) = await self._client.call([rebalance], min(CALL_SECONDS, self._seconds / 2))
        self._first = False
        return Renewal(sent_at + self._seconds, fair_share, dict(zip(self._streams, backlogs, strict=True)))

    async def release(self, names: Sequence[str]) -> None:
        """Give up the leases on these topics. Raises `BusUnavailable`."""
        await self._client.call([self._scripts.release_leases.call([self._leases[name] for name in names], self._token)])

    async def leave(self) -> None:
        """Give up every lease, and leave the group. Raises `BusUnavailable`."""
        release = self._scripts.release_leases.call(list(self._leases.values()), self._token)
        await self._client.call([("HDEL", self._members, self._token), release])

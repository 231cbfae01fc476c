"""The bus over Redis or Valkey streams: publishing, and the way to `work` and `follow`.

One stream per topic, one entry per payload. What waits for work leaves its stream when acknowledged, so a stream's length is its
backlog. Leaves appending to `redis_publish`, members of a group to `redis_work`, followers to `redis_follow`, the wire to
`redis_connection`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager

from bus.bus import Delivery, Lost, Work
from bus.redis_connection import Address
from bus.redis_follow import Follower
from bus.redis_link import Link
from bus.redis_publish import RedisPublisher
from bus.redis_scripts import Scripts
from bus.redis_work import Member, Membership
from bus.topics import Topic


class RedisBus:
    """A bus on one server (or on the primary behind one address). See `bus.Bus` for what a caller may rely on."""

    def __init__(self, url: str, *, lease_seconds: float = 5.0) -> None:
        self._address = Address.parse(url)
        self._scripts = Scripts.read()
        self._link = Link(self._address, self._scripts.sources())
        """For everything that answers at once; members and followers wait on connections of their own."""
        self._publisher = RedisPublisher(self._link, self._scripts)
        self._lease_seconds = lease_seconds

    async def publish(self, batch: Sequence[tuple[Topic, bytes]]) -> None:
        """Append payloads, each to its topic, in order, in one round trip."""
        await self._publisher.publish(batch)

    def work(self, topics: Sequence[Topic], group: str, consumer: str, *, count: int = 64) -> AbstractAsyncContextManager[Work]:
        """Take part in a group."""
        names = [topic.name for topic in topics]
        membership = Membership(names, group, consumer, count, self._lease_seconds)
        return Member(self._address, self._link, self._publisher, self._scripts, membership)

    def follow(self, topics: Sequence[Topic]) -> AbstractAsyncContextManager[AsyncIterator[Delivery | Lost]]:
        """See everything published after the block is entered."""
        return Follower(self._address, self._scripts, topics)

    async def ping(self) -> None:
        """Raise `BusUnavailable` unless the bus answers."""
        await self._link.call([("PING",)])

    def close(self) -> None:
        """Drop the connection."""
        self._link.close()

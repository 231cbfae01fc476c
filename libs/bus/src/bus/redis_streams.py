"""The bus on Redis or Valkey streams: one stream per topic, one stream entry per payload.

An acknowledged entry is deleted, so the length of a command stream is its backlog. `redis_publish` publishes, `redis_work`
implements members of a group, `redis_follow` followers, and `redis_read` the instances of a reader.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager

from bus import metrics, redis_keys
from bus.bus import BusUnfit, Delivery, LoadCursors, Lost, ReadItem, Work, no_linger
from bus.redis_client import Client
from bus.redis_connection import Address
from bus.redis_follow import Follower
from bus.redis_publish import RedisPublisher
from bus.redis_read import Instance, ReadOptions
from bus.redis_scripts import Scripts
from bus.redis_work import Member, MemberOptions
from bus.topics import Topic, WhenFull
from chassis import redis_check


class RedisBus:
    """Implements `bus.Bus` on one server, or on the primary behind one address."""

    def __init__(self, url: str, *, lease_seconds: float = 5.0) -> None:
        self._address = Address.parse(url)
        self._scripts = Scripts.load()
        self._client = Client(self._address, self._scripts.sources())
        """For calls that return at once. Members and followers block on their own connections."""
        self._checker = Client(self._address, self._scripts.sources())
        """For `check` alone: an error reply closes the connection."""
        self._publisher = RedisPublisher(self._client, self._scripts)
        self._lease_seconds = lease_seconds

    async def publish(self, batch: Sequence[tuple[Topic, bytes]]) -> None:
        """Append payloads, each to its topic, in order, in one round trip."""
        await self._publisher.publish(batch)

    def work(self, topics: Sequence[Topic], group: str, consumer: str, *, count: int = 64) -> AbstractAsyncContextManager[Work]:
        """Join a group."""
        names = [topic.name for topic in topics]
        options = MemberOptions(names, group, consumer, count, self._lease_seconds)
        return Member(self._address, self._client, self._publisher, self._scripts, options)

    def follow(
        self, topics: Sequence[Topic], *, linger: Callable[[], float] = no_linger
    ) -> AbstractAsyncContextManager[AsyncIterator[Delivery | Lost]]:
        """Read everything published after the block is entered."""
        return Follower(self._address, self._scripts, topics, linger)

    def read(
        self, topics: Sequence[Topic], reader: str, consumer: str, cursors: LoadCursors
    ) -> AbstractAsyncContextManager[AsyncIterator[ReadItem]]:
        """Read as one instance of a reader, from the cursors that it has stored."""
        options = ReadOptions(topics, reader, consumer, cursors, self._lease_seconds)
        return Instance(self._address, self._client, self._scripts, options)

    async def ping(self) -> None:
        """Raise `BusUnavailable` unless the bus answers."""
        await self._client.call([("PING",)])

    async def check(self, topics: Sequence[Topic], *, durable: bool, backlog: bool = False) -> None:
        """Raise `BusUnavailable` unless the server accepts writes, and `BusUnfit` unless it can hold the topics."""
        (information,) = await self._checker.call([("INFO", *redis_check.SECTIONS)])
        needed = sum(topic.bound_bytes for topic in topics)
        if cause := redis_check.unfit(redis_check.parsed(bytes(information)), needed_bytes=needed, durable=durable):
            raise BusUnfit(cause)
        await self._checker.call([("SET", redis_keys.PROBE, b"", "PX", 1)])  # refused without memory, as publishing is
        if backlog:
            work = [redis_keys.stream(topic.name) for topic in topics if topic.when_full is WhenFull.REFUSE]
            (ages,) = await self._checker.call([self._scripts.backlog.call([], *work)])
            metrics.BACKLOG_SECONDS.set(max(ages, default=0) / 1000)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()
        self._checker.close()

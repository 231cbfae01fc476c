"""The bus over Redis or Valkey streams: publishing, and the way to `work` and `follow`.

One stream per topic, one entry per payload. What waits for work leaves its stream when acknowledged, so a stream's length is its
backlog. Leaves members of a group to `redis_work`, followers to `redis_follow`, the wire to `redis_connection`.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager

from bus import metrics, redis_keys
from bus.bus import BusFull, BusUnavailable, Delivery, Lost, Work
from bus.redis_connection import Address, Command
from bus.redis_follow import Follower
from bus.redis_link import Link
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
        self._lease_seconds = lease_seconds

    async def publish(self, batch: Sequence[tuple[Topic, bytes]]) -> None:
        """Append payloads, each to its topic, in order, in one round trip."""
        by_topic: dict[Topic, list[bytes]] = {}
        for topic, payload in batch:
            by_topic.setdefault(topic, []).append(payload)
        if not by_topic:
            return
        started = time.perf_counter()
        try:
            (lengths,) = await self._link.call([self._appending(by_topic)])
        except BusUnavailable:
            metrics.UNAVAILABLE.inc()
            raise
        metrics.PUBLISH_SECONDS.observe(time.perf_counter() - started)
        full = {topic for topic, length in zip(by_topic, lengths, strict=True) if length < 0}
        _count(by_topic, full)
        if full:
            raise BusFull(frozenset(topic.name for topic in full))

    def work(self, topics: Sequence[Topic], group: str, consumer: str, *, count: int = 64) -> AbstractAsyncContextManager[Work]:
        """Take part in a group."""
        names = [topic.name for topic in topics]
        membership = Membership(names, group, consumer, count, self._lease_seconds)
        return Member(self._address, self._link, self._scripts, membership)

    def follow(self, topics: Sequence[Topic]) -> AbstractAsyncContextManager[AsyncIterator[Delivery | Lost]]:
        """See everything published after the block is entered."""
        return Follower(self._address, self._scripts, topics)

    async def ping(self) -> None:
        """Raise `BusUnavailable` unless the bus answers."""
        await self._link.call([("PING",)])

    def close(self) -> None:
        """Drop the connection."""
        self._link.close()

    def _appending(self, by_topic: dict[Topic, list[bytes]]) -> Command:
        keys: list[str] = []
        arguments: list[str | bytes | int] = []
        for topic, payloads in by_topic.items():
            keys += (redis_keys.stream(topic.name), redis_keys.size(topic.name))
            arguments += (topic.when_full.value, topic.bound, topic.bound_bytes, topic.idle_seconds, len(payloads), *payloads)
        return self._scripts.publish.call(keys, *arguments)


def _count(by_topic: dict[Topic, list[bytes]], full: set[Topic]) -> None:
    for topic, payloads in by_topic.items():
        kind = metrics.kind_of(topic.name)
        if topic in full:
            metrics.REFUSED_ENTRIES.labels(kind).inc(len(payloads))
        else:
            metrics.PUBLISHED_ENTRIES.labels(kind).inc(len(payloads))
            metrics.PUBLISHED_BYTES.labels(kind).inc(sum(map(len, payloads)))

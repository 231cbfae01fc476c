"""Appends payloads to streams and deletes acknowledged entries, in one call of `lua/publish.lua`."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any

from bus import metrics, redis_keys
from bus.bus import BusFull, BusUnavailable, Delivery
from bus.redis_client import Client
from bus.redis_connection import Command
from bus.redis_scripts import Scripts
from bus.topics import Topic

Call = Callable[[Sequence[Command]], Awaitable[list[Any]]]
"""Sends commands in one round trip and returns their replies. Raises BusUnavailable."""


class RedisPublisher:
    """Publishes over one client."""

    def __init__(self, client: Client, scripts: Scripts) -> None:
        self._client = client
        self._scripts = scripts

    async def publish(
        self, batch: Iterable[tuple[Topic, bytes]], done: Sequence[Delivery] = (), call: Call | None = None
    ) -> None:
        """Append payloads, each to its topic, in order. Unless a topic refused, then delete the entries of `done`.

        `call` sends the command; the default is the client's. Raises `BusFull`, `BusUnavailable`.
        """
        by_topic: dict[Topic, list[bytes]] = {}
        for topic, payload in batch:
            by_topic.setdefault(topic, []).append(payload)
        if not by_topic and not done:
            return
        started = time.perf_counter()
        try:
            (lengths,) = await (call or self._client.call)([self._command(by_topic, done)])
        except BusUnavailable:
            metrics.UNAVAILABLE.inc()
            raise
        if by_topic:
            metrics.PUBLISH_SECONDS.observe(time.perf_counter() - started)
        full = {topic for topic, length in zip(by_topic, lengths, strict=True) if length < 0}
        _count(by_topic, full)
        if full:
            raise BusFull(frozenset(topic.name for topic in full))

    def _command(self, by_topic: Mapping[Topic, Sequence[bytes]], done: Sequence[Delivery]) -> Command:
        keys: list[str] = []
        arguments: list[str | bytes | int] = [len(by_topic)]
        for topic, payloads in by_topic.items():
            keys += (redis_keys.stream(topic.name), redis_keys.size(topic.name))
            arguments += (topic.when_full.value, topic.bound, topic.bound_bytes, topic.idle_seconds, len(payloads), *payloads)
        for delivery in done:
            keys += (redis_keys.stream(delivery.topic), redis_keys.size(delivery.topic))
            arguments.append(len(delivery.entries))
            for entry in delivery.entries:
                arguments += (entry.id, len(entry.payload))
        return self._scripts.publish.call(keys, *arguments)


def _count(by_topic: Mapping[Topic, Sequence[bytes]], full: set[Topic]) -> None:
    for topic, payloads in by_topic.items():
        kind = metrics.kind_of(topic.name)
        if topic in full:
            metrics.REFUSED_ENTRIES.labels(kind).inc(len(payloads))
        else:
            metrics.PUBLISHED_ENTRIES.labels(kind).inc(len(payloads))
            metrics.PUBLISHED_BYTES.labels(kind).inc(sum(map(len, payloads)))

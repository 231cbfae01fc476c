"""One instance of a reader: leases its fair share of the topics, and reads them from the cursors that the reader has stored.

Entries stay on the bus: other readers have cursors of their own. A topic whose lease this instance no longer has by its own clock
is given up before anything more of it is returned, and read again from the stored cursor when the lease is granted anew.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import structlog

from bus import metrics
from bus.bus import LINGER_SECONDS, BusError, BusUnavailable, LoadCursors, Lost, ReadItem
from bus.redis_client import Client
from bus.redis_connection import Address
from bus.redis_leases import Leases
from bus.redis_positions import Positions
from bus.redis_scripts import Scripts
from bus.topics import Topic

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """The parameters of `Bus.read`."""

    topics: Sequence[Topic]
    reader: str
    consumer: str
    cursors: LoadCursors
    lease_seconds: float


class Instance:
    """The context manager and iterator of one instance of a reader."""

    def __init__(self, address: Address, client: Client, scripts: Scripts, options: ReadOptions) -> None:
        self._reader = options.reader
        self._topics = {topic.name: topic for topic in options.topics}
        """By name."""
        self._cursors = options.cursors
        self._leases = Leases(
            client, scripts, [*self._topics], group=options.reader, consumer=options.consumer, lease_seconds=options.lease_seconds
        )
        self._positions = Positions(address, scripts, stored=True, linger=lambda: LINGER_SECONDS)
        self._held: dict[str, float] = {}
        """By topic name: `time.monotonic` at which the lease ends."""
        self._taken: list[str] = []
        """Leased topics whose cursors have not been loaded."""
        self._changed = asyncio.Event()
        """Set when a topic was taken, and when the heartbeat task ends."""
        self._heartbeat_task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._heartbeat_task = asyncio.create_task(self._heartbeats(), name=f"bus-reader-{self._reader}")
        self._heartbeat_task.add_done_callback(lambda _: self._changed.set())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._heartbeat_task is not None:
            self._heartbeat_task.cancel()
            await asyncio.wait([self._heartbeat_task])
        self._positions.close()
        try:
            await self._leases.leave()
        except BusUnavailable:
            _log.warning("bus_leases_left_to_expire", group=self._reader)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> ReadItem:
        while True:
            await self._load_cursors()
            if not self._positions.reading:
                await self._until_changed()
                continue
            item = await self._positions.next()
            expired = [name for name in _topics_of(item) if self._held.get(name, 0.0) <= time.monotonic()]
            if not any(map(self._give_up, expired)):
                return item

    async def _load_cursors(self) -> None:
        """Begin to read the topics that were taken."""
        taken = [name for name in self._taken if name in self._held]
        self._taken = []
        if taken:
            cursors = await self._cursors(taken)
            for name in taken:
                self._positions.add(self._topics[name], cursors.get(name, ""))

    async def _until_changed(self) -> None:
        if self._heartbeat_task is None or self._heartbeat_task.done():
            raise BusError("the reader's heartbeats stopped")
        self._changed.clear()
        await self._changed.wait()

    async def _heartbeats(self) -> None:
        """Send heartbeats while the block lasts."""
        while True:
            try:
                await self._heartbeat()
            except BusUnavailable as error:
                _log.warning("bus_lease_renewal_failed", reason=str(error))
            await asyncio.sleep(self._leases.heartbeat_seconds)

    async def _heartbeat(self) -> None:
        """Renew and take leases, and give up those beyond the fair share."""
        renewal = await self._leases.renew()
        for name, entries in renewal.backlog.items():
            if entries < 0:
                if self._give_up(name):
                    metrics.LEASE_CHANGES.labels("lost").inc()
                continue
            if name not in self._held:
                self._taken.append(name)
                metrics.LEASE_CHANGES.labels("taken").inc()
                _log.info("bus_lease_taken", topic=name, group=self._reader)
                self._changed.set()
            self._held[name] = renewal.until
        surplus = [*self._held][renewal.fair_share :]
        if surplus:
            for name in surplus:
                self._give_up(name)
                metrics.LEASE_CHANGES.labels("given").inc()
            await self._leases.release(surplus)

    def _give_up(self, name: str) -> bool:
        """Stop reading a topic. Returns whether it was held."""
        held = self._held.pop(name, None) is not None
        if held:
            _log.info("bus_lease_ended", topic=name, group=self._reader)
            self._positions.remove(name)
        return held


def _topics_of(item: ReadItem) -> Sequence[str]:
    return item.topics if isinstance(item, Lost) else (item.topic,)

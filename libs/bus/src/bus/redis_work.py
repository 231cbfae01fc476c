"""A member of a group: leases its fair share of the topics and delivers their entries.

A topic has one holder at a time, and acknowledged entries are deleted. The backlog is therefore the whole stream, and a
successor reads it from the start: no consumer group or pending list is needed (docs/adr/0010). `redis_leases` takes the leases,
`redis_leased_topic` reads a topic.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import structlog

from bus import metrics, redis_keys
from bus.bus import DELIVERY_BYTES, WORK_BYTES, BusError, BusUnavailable, Delivery
from bus.redis_client import CALL_SECONDS, Client
from bus.redis_connection import Address, Connection
from bus.redis_leased_topic import LeasedTopic, Offer, ReadCommands
from bus.redis_leases import Leases
from bus.redis_publish import RedisPublisher
from bus.redis_scripts import Scripts
from bus.topics import Topic

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class MemberOptions:
    """The parameters of `Bus.work`."""

    topics: Sequence[str]
    """Topic names."""
    group: str
    consumer: str
    count: int
    """Maximum entries per delivery."""
    lease_seconds: float


class Member:
    """The context manager and iterator of one member."""

    def __init__(
        self, address: Address, client: Client, publisher: RedisPublisher, scripts: Scripts, options: MemberOptions
    ) -> None:
        self._address = address
        self._publisher = publisher
        self._scripts = scripts
        self._topics = {name: redis_keys.stream(name) for name in options.topics}
        """Stream keys by topic name."""
        self._count = options.count
        self._group = options.group
        self._leases = Leases(
            client, scripts, options.topics, group=options.group, consumer=options.consumer, lease_seconds=options.lease_seconds
        )
        self._leased: dict[str, LeasedTopic] = {}
        """By topic name: topics whose lease the server has granted."""
        self._offers: dict[str, Offer] = {}
        """By topic name, oldest first: offers that the caller has not received yet."""
        self._wake = asyncio.Event()
        """Set by each offer, and when the heartbeat task ends."""
        self._outstanding: dict[str, Offer] = {}
        """By topic name: deliveries that the caller has neither completed nor released."""
        self._surplus: set[str] = set()
        """Topics beyond the fair share, to be released when their outstanding delivery is settled."""
        self._lease_changes = asyncio.Lock()
        """Held while leases change, so that a lease reply is never applied after the topic was released."""
        self._heartbeat_task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._heartbeat_task = asyncio.create_task(self._heartbeats(), name=f"bus-member-{self._group}")
        self._heartbeat_task.add_done_callback(lambda _: self._wake.set())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._heartbeat_task is not None:
            self._heartbeat_task.cancel()
            await asyncio.wait([self._heartbeat_task])
        try:
            await self._leases.leave()
        except BusUnavailable:
            _log.warning("bus_leases_left_to_expire", group=self._group)
        _record(dict.fromkeys(self._topics, 0))

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Delivery:
        while True:
            await self._wait_for_offer()
            topic = next(iter(self._offers))
            offer = self._offers.pop(topic)
            if offer.source.lease_valid():
                self._outstanding[topic] = offer
                metrics.DELIVERED_ENTRIES.labels(metrics.kind_of(topic), "work").inc(len(offer.delivery.entries))
                return offer.delivery
            offer.settle()

    async def _wait_for_offer(self) -> None:
        while not self._offers:
            if self._heartbeat_task is None or self._heartbeat_task.done():
                raise BusError("the member stopped") from self._failure()
            self._wake.clear()
            await self._wake.wait()

    async def complete(self, deliveries: Sequence[Delivery], batch: Sequence[tuple[Topic, bytes]] = ()) -> None:
        """Publish, delete the entries, and continue with the topics."""
        topic = next((offer.source for offer in self._offers_of(deliveries) if offer.source.can_call()), None)
        if topic is None:
            await self._publisher.publish(batch, deliveries)
        else:
            try:
                await self._publisher.publish(batch, deliveries, topic.call)
            except BaseException:  # includes cancellation
                topic.discard_read()
                raise
        for delivery in deliveries:
            await self.release(delivery)

    async def release(self, delivery: Delivery) -> None:
        """Continue with the topic, from its oldest entry."""
        for offer in self._offers_of([delivery]):
            del self._outstanding[delivery.topic]
            if delivery.topic in self._surplus:
                async with self._lease_changes:
                    await self._release_leases([delivery.topic])
            offer.settle()

    def _offers_of(self, deliveries: Sequence[Delivery]) -> list[Offer]:
        """Return the unsettled offers of these deliveries."""
        offers = [self._outstanding.get(delivery.topic) for delivery in deliveries]
        return [offer for offer, delivery in zip(offers, deliveries, strict=True) if offer and offer.delivery is delivery]

    async def _heartbeats(self) -> None:
        """Send heartbeats while the block lasts."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                try:
                    async with self._lease_changes:
                        await self._heartbeat(tasks)
                except BusUnavailable as error:
                    _log.warning("bus_lease_renewal_failed", reason=str(error))
                await asyncio.sleep(self._leases.heartbeat_seconds)

    def _offer(self, offer: Offer) -> None:
        """Queue an offer for the caller."""
        self._offers[offer.delivery.topic] = offer
        self._wake.set()

    def _failure(self) -> BaseException | None:
        task = self._heartbeat_task
        return task.exception() if task is not None and task.done() and not task.cancelled() else None

    async def _heartbeat(self, tasks: asyncio.TaskGroup) -> None:
        """Renew, take and release leases."""
        renewal = await self._leases.renew()
        for name, entries in renewal.backlog.items():
            if entries >= 0:
                self._renewed(name, renewal.until, tasks)
            elif name in self._leased:
                self._leased.pop(name).end()
                metrics.LEASE_CHANGES.labels("lost").inc()
                _log.warning("bus_lease_lost", topic=name)
        _record(renewal.backlog)
        await self._release_surplus(len(self._leased) - renewal.fair_share)

    def _renewed(self, name: str, until: float, tasks: asyncio.TaskGroup) -> None:
        topic = self._leased.get(name)
        if topic is None and name in self._outstanding:
            return  # lost and regained during a delivery: wait until that is settled
        if topic is None:
            read = ReadCommands(self._topics[name], self._scripts.look, self._count, self._room)
            topic = LeasedTopic(name, read, self._offer, self._connect)
            topic.renewed(until)
            topic.start(tasks)
            self._leased[name] = topic
            metrics.LEASE_CHANGES.labels("taken").inc()
            _log.info("bus_lease_taken", topic=name)
        topic.renewed(until)

    def _room(self) -> int:
        """The most that a delivery may hold, so that those of all leased topics stay within their bound."""
        return min(DELIVERY_BYTES, WORK_BYTES // max(len(self._leased), 1))

    async def _connect(self) -> Connection:
        return await Connection.open(self._address, CALL_SECONDS, scripts=self._scripts.sources())

    async def _release_surplus(self, surplus: int) -> None:
        """Release topics beyond the fair share: idle ones now, the others when their delivery is settled."""
        idle_first = sorted(self._leased, key=lambda name: name in self._outstanding)[: max(surplus, 0)]
        self._surplus = {name for name in idle_first if name in self._outstanding}
        await self._release_leases([name for name in idle_first if name not in self._outstanding])

    async def _release_leases(self, names: Sequence[str]) -> None:
        held = [name for name in names if name in self._leased]
        if not held:
            return
        for name in held:
            self._leased.pop(name).end()
            metrics.LEASE_CHANGES.labels("given").inc()
            _log.info("bus_lease_released", topic=name)
        try:
            await self._leases.release(held)
        except BusUnavailable as error:  # the next heartbeat finds them still leased and releases them again
            _log.warning("bus_lease_release_failed", reason=str(error))


def _record(backlog: Mapping[str, int]) -> None:
    totals: dict[str, int] = {}
    for name, entries in backlog.items():
        kind = metrics.kind_of(name)
        totals[kind] = totals.get(kind, 0) + max(entries, 0)
    for kind, entries in totals.items():
        metrics.BACKLOG.labels(kind).set(entries)

"""One member of a group: holds its fair share of the topics by leases and delivers what waits in them.

A topic has one holder at a time and loses an entry when that is acknowledged, so what waits is always the whole stream, oldest
first: no consumer group and no pending list are needed, a successor simply begins at the beginning (`docs/adr/0010`).
Leaves the sharing itself to `lua/share.lua`, one atomic decision per member every tenth of a lease, and one topic to
`redis_holding`.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import structlog

from bus import metrics, redis_keys
from bus.bus import BusError, BusUnavailable, Delivery
from bus.redis_connection import Address
from bus.redis_holding import Holding, Offer
from bus.redis_link import CALL_SECONDS, Link
from bus.redis_publish import RedisPublisher
from bus.redis_scripts import Scripts
from bus.topics import Topic

_TURNS_PER_LEASE = 10

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Membership:
    """What a member takes part in."""

    topics: Sequence[str]
    """Their names."""
    group: str
    consumer: str
    count: int
    """Entries of a delivery, at most."""
    lease_seconds: float


class Member:
    """A member's block: entered, it iterates over deliveries of the topics that it holds."""

    def __init__(self, address: Address, link: Link, publisher: RedisPublisher, scripts: Scripts, membership: Membership) -> None:
        self._address = address
        self._link = link
        self._publisher = publisher
        self._scripts = scripts
        self._topics = {name: redis_keys.stream(name) for name in membership.topics}
        """Stream keys by topic name."""
        self._count = membership.count
        self._lease_seconds = membership.lease_seconds
        group, consumer = membership.group, membership.consumer
        self._leases = {name: redis_keys.lease(group, name) for name in self._topics}
        """Lease keys by topic name."""
        self._members = redis_keys.members(group)
        self._token = f"{consumer}:{secrets.token_hex(8)}"
        """Names this block: a consumer that comes back under its old name is another member, and inherits from the former."""
        self._first_turn = True
        self._holdings: dict[str, Holding] = {}
        """By topic name; only topics whose lease the server said is ours."""
        self._offers: asyncio.Queue[Offer | None] = asyncio.Queue(maxsize=len(self._topics))
        """One offer per topic, and void ones of holdings that ended; None says that keeping ended."""
        self._taken: dict[str, Offer] = {}
        """By topic name: handed out, neither completed nor released."""
        self._leaving: set[str] = set()
        """Topics beyond the fair share that are to be given up once what was handed out of them is settled."""
        self._leases_change = asyncio.Lock()
        """Held while leases change: an answer that a topic is ours must not be believed after the topic was given up."""
        self._keeping: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._keeping = asyncio.create_task(self._keep(), name=f"bus-member-{self._token}")
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.wait([self._keeping])
        try:
            await self._link.call(
                [
                    ("HDEL", self._members, self._token),
                    self._scripts.give.call(list(self._leases.values()), self._token),
                ]
            )
        except BusUnavailable:
            _log.warning("bus_leases_left_to_expire", group=self._members)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Delivery:
        while True:
            offer = await self._offers.get()
            if offer is None:
                self._stopped()
                raise BusError("the member stopped") from self._failure()
            if offer.holding.held():
                delivery = offer.delivery
                self._taken[delivery.topic] = offer
                metrics.DELIVERED_ENTRIES.labels(metrics.kind_of(delivery.topic), "work").inc(len(delivery.entries))
                return delivery
            offer.settle()

    async def complete(self, deliveries: Sequence[Delivery], batch: Sequence[tuple[Topic, bytes]] = ()) -> None:
        """Publish, take the entries off their topics, and let their next ones come."""
        await self._publisher.publish(batch, deliveries)
        for delivery in deliveries:
            await self.release(delivery)

    async def release(self, delivery: Delivery) -> None:
        """Let what now is the oldest of the topic come."""
        offer = self._taken.get(delivery.topic)
        if offer is not None and offer.delivery is delivery:
            del self._taken[delivery.topic]
            if delivery.topic in self._leaving:
                async with self._leases_change:
                    await self._give([delivery.topic])
            offer.settle()

    async def _keep(self) -> None:
        """Take turns for as long as the block lasts."""
        try:
            async with asyncio.TaskGroup() as tasks:
                while True:
                    try:
                        async with self._leases_change:
                            await self._turn(tasks)
                    except BusUnavailable as error:
                        _log.warning("bus_leases_not_renewed", reason=str(error))
                    await asyncio.sleep(self._lease_seconds / _TURNS_PER_LEASE)
        finally:
            self._stopped()

    def _stopped(self) -> None:
        """Let whoever iterates find out."""
        if self._offers.full():
            self._offers.get_nowait()
        self._offers.put_nowait(None)

    def _failure(self) -> BaseException | None:
        ended = self._keeping is not None and self._keeping.done() and not self._keeping.cancelled()
        return self._keeping.exception() if self._keeping is not None and ended else None

    async def _turn(self, tasks: asyncio.TaskGroup) -> None:
        """Renew, take and give up leases."""
        asked = time.monotonic()
        keys = [key for name in self._topics for key in (self._leases[name], self._topics[name])]
        milliseconds = int(self._lease_seconds * 1000)
        share = self._scripts.share.call([self._members, *keys], self._token, milliseconds, int(self._first_turn))
        ((fair, *backlogs),) = await self._link.call([share], min(CALL_SECONDS, self._lease_seconds / 2))
        self._first_turn = False
        backlog = dict(zip(self._topics, backlogs, strict=True))
        for name, entries in backlog.items():
            if entries >= 0:
                self._hold(name, asked + self._lease_seconds, tasks)
            elif name in self._holdings:
                self._holdings.pop(name).end()
                metrics.LEASE_CHANGES.labels("lost").inc()
                _log.warning("bus_lease_lost", topic=name)
        _show(backlog)
        await self._give_up(len(self._holdings) - fair)

    def _hold(self, name: str, until: float, tasks: asyncio.TaskGroup) -> None:
        holding = self._holdings.get(name)
        if holding is None and name in self._taken:
            return  # lost and won back while a delivery was being worked on: nothing more before that is settled
        if holding is None:
            holding = Holding(name, self._topics[name], self._count, self._offers, self._address)
            holding.renewed(until)
            holding.begin(tasks)
            self._holdings[name] = holding
            metrics.LEASE_CHANGES.labels("taken").inc()
            _log.info("bus_lease_taken", topic=name)
        holding.renewed(until)

    async def _give_up(self, surplus: int) -> None:
        """Give back what is more than a fair share: at once what nobody works on, the rest when that is settled."""
        idle_first = sorted(self._holdings, key=lambda name: name in self._taken)[: max(surplus, 0)]
        self._leaving = {name for name in idle_first if name in self._taken}
        await self._give([name for name in idle_first if name not in self._taken])

    async def _give(self, names: Sequence[str]) -> None:
        held = [name for name in names if name in self._holdings]
        if not held:
            return
        for name in held:
            self._holdings.pop(name).end()
            metrics.LEASE_CHANGES.labels("given").inc()
            _log.info("bus_lease_given", topic=name)
        try:
            await self._link.call([self._scripts.give.call([self._leases[name] for name in held], self._token)])
        except BusUnavailable as error:  # the next turn finds them ours, and gives them up again
            _log.warning("bus_lease_not_given", reason=str(error))


def _show(backlog: Mapping[str, int]) -> None:
    totals: dict[str, int] = {}
    for name, entries in backlog.items():
        kind = metrics.kind_of(name)
        totals[kind] = totals.get(kind, 0) + max(entries, 0)
    for kind, entries in totals.items():
        metrics.BACKLOG.labels(kind).set(entries)

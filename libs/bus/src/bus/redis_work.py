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
from bus.redis_connection import Address, Connection
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
        self._offers: dict[str, Offer] = {}
        """By topic name, the oldest first: on their way to whoever iterates."""
        self._some = asyncio.Event()
        """Set by each offer, and when keeping has ended."""
        self._taken: dict[str, Offer] = {}
        """By topic name: handed out, neither completed nor released."""
        self._leaving: set[str] = set()
        """Topics beyond the fair share that are to be given up once what was handed out of them is settled."""
        self._leases_change = asyncio.Lock()
        """Held while leases change: an answer that a topic is ours must not be believed after the topic was given up."""
        self._keeping: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._keeping = asyncio.create_task(self._keep(), name=f"bus-member-{self._token}")
        self._keeping.add_done_callback(lambda _: self._some.set())
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
            await self._until_offered()
            topic = next(iter(self._offers))
            offer = self._offers.pop(topic)
            if offer.holding.held():
                self._taken[topic] = offer
                metrics.DELIVERED_ENTRIES.labels(metrics.kind_of(topic), "work").inc(len(offer.delivery.entries))
                return offer.delivery
            offer.settle()

    async def _until_offered(self) -> None:
        while not self._offers:
            if self._keeping is None or self._keeping.done():
                raise BusError("the member stopped") from self._failure()
            self._some.clear()
            await self._some.wait()

    async def complete(self, deliveries: Sequence[Delivery], batch: Sequence[tuple[Topic, bytes]] = ()) -> None:
        """Publish, take the entries off their topics, and let their next ones come."""
        holding = next((offer.holding for offer in self._in_hand(deliveries) if offer.holding.idle()), None)
        if holding is None:
            await self._publisher.publish(batch, deliveries)
        else:
            try:
                await self._publisher.publish(batch, deliveries, holding.call)
            except BaseException:  # cancelled, too
                holding.retract()
                raise
        for delivery in deliveries:
            await self.release(delivery)

    async def release(self, delivery: Delivery) -> None:
        """Let what now is the oldest of the topic come."""
        for offer in self._in_hand([delivery]):
            del self._taken[delivery.topic]
            if delivery.topic in self._leaving:
                async with self._leases_change:
                    await self._give([delivery.topic])
            offer.settle()

    def _in_hand(self, deliveries: Sequence[Delivery]) -> list[Offer]:
        """Return those that were handed out and not settled since."""
        offers = [self._taken.get(delivery.topic) for delivery in deliveries]
        return [offer for offer, delivery in zip(offers, deliveries, strict=True) if offer and offer.delivery is delivery]

    async def _keep(self) -> None:
        """Take turns for as long as the block lasts."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                try:
                    async with self._leases_change:
                        await self._turn(tasks)
                except BusUnavailable as error:
                    _log.warning("bus_leases_not_renewed", reason=str(error))
                await asyncio.sleep(self._lease_seconds / _TURNS_PER_LEASE)

    def _offer(self, offer: Offer) -> None:
        """Take an offer for whoever iterates."""
        self._offers[offer.delivery.topic] = offer
        self._some.set()

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
            holding = Holding(name, self._topics[name], self._count, self._offer, self._connect)
            holding.renewed(until)
            holding.begin(tasks)
            self._holdings[name] = holding
            metrics.LEASE_CHANGES.labels("taken").inc()
            _log.info("bus_lease_taken", topic=name)
        holding.renewed(until)

    async def _connect(self) -> Connection:
        return await Connection.open(self._address, CALL_SECONDS, scripts=self._scripts.sources())

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

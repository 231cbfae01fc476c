"""Follows the bus and gives each entry to whom it concerns.

Events and receipts go to the hub's channels, outcomes to `pending`; what the bus says it has lost is handed to the audit, and
`control` looks at memberships again. Decisions about users come another way (`decisions`). One loop, one entry at a time, at the
pace at which sockets are written to: batches grow with load by themselves.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable

import structlog
from google.protobuf.message import DecodeError

from bus.bus import Bus, BusUnavailable, Delivery, Lost
from bus.topics import events, replies
from chassis.metrics import DEFECTS
from gateway.backoff import delays
from gateway.control import Control
from gateway.inbound.pending import Pending
from gateway.metrics import BUS_LOST
from gateway.opening import Opening
from gateway.outbound import frames
from gateway.outbound.audit import Audit
from gateway.outbound.hub import Hub
from gateway.outbound.outbox import Outbox
from hubbub.events.v1.events_pb2 import EventBatch, Receipt, ReplyBatch

log = structlog.get_logger()


class Fanout:
    """The gateway's ear on the bus."""

    def __init__(
        self,
        bus: Bus,
        gateway: str,
        *,
        partitions: int,
        hub: Hub,
        outbox: Outbox,
        pending: Pending,
        user_control: Control,
        audit: Audit,
        opening: Opening,
    ) -> None:
        self._bus = bus
        self._gateway = gateway
        self._hub = hub
        self._outbox = outbox
        self._pending = pending
        self._control = user_control
        self._audit = audit
        self._opening = opening
        self._partitions = {events(partition).name: partition for partition in range(partitions)}
        self._topics = [*(events(partition) for partition in range(partitions)), replies(gateway)]
        self._handlers: dict[str, Callable[[bytes], None]] = {
            **dict.fromkeys(self._partitions, self._take_events),
            replies(gateway).name: self._take_replies,
        }

    async def run(self, on_following: Callable[[], None]) -> None:
        """Follow, for ever; `on_following` is called once everything published from then on is seen."""
        async for _attempt in delays(math.inf):  # until the bus is there; afterwards it never ends by itself
            try:
                async with self._bus.follow(self._topics) as deliveries:
                    on_following()
                    async for delivery in deliveries:
                        await self._take(delivery)
            except BusUnavailable:
                log.warning("bus_not_followed")

    async def _take(self, delivery: Delivery | Lost) -> None:
        match delivery:
            case Delivery(topic, entries):
                handle = self._handlers[topic]
                for entry in entries:
                    self._handle(handle, topic, entry.payload)
                    await self._outbox.paced()
                await asyncio.sleep(0)
            case Lost(topics, reason):
                self._lost(topics, reason)

    def _handle(self, handle: Callable[[bytes], None], topic: str, payload: bytes) -> None:
        try:
            handle(payload)
        except DecodeError:  # poison: what it held shows as a hole
            DEFECTS.labels("bus_entry").inc()
            log.error("bus_entry_unreadable", topic=topic)  # noqa: TRY400 - a trace says nothing more
            self._lost((topic,), "unreadable")
        except Exception as error:  # the consume loop: one bad entry must not stop the others
            DEFECTS.labels("fanout").inc()
            log.exception("bus_entry_failed", topic=topic, error=type(error).__name__)
            self._lost((topic,), "failed")

    def _take_events(self, payload: bytes) -> None:
        batch = EventBatch.FromString(payload)
        for event in batch.events:
            if not event.gateway or event.gateway == self._gateway:  # the sweeper does not know who waits
                self._pending.stored(event)
            self._hub.take(event)
        for receipt in batch.receipts:
            self._tell(receipt)

    def _tell(self, receipt: Receipt) -> None:
        channel = self._hub.channels.get(receipt.channel)
        if channel is None:
            return
        frame = frames.encode(frames.Receipt(receipt.channel, receipt.user, receipt.read_seq))
        others = [each for each in channel.open_connections() if each.id != receipt.connection]
        self._outbox.broadcast(others, frame)

    def _take_replies(self, payload: bytes) -> None:
        for reply in ReplyBatch.FromString(payload).replies:
            self._pending.replied(reply)

    def _lost(self, topics: tuple[str, ...], reason: str) -> None:
        BUS_LOST.labels(reason).inc()
        log.warning("bus_lost_entries", reason=reason, topics=len(topics))
        self._opening.losses += 1
        self._audit.suspect_partitions({self._partitions[topic] for topic in topics if topic in self._partitions})
        if any(topic != replies(self._gateway).name for topic in topics):
            self._control.doubt_all()

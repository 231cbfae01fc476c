"""Follows the bus and distributes its entries.

Events and roster changes go to the hub, receipts to members, outcomes of commands to the connections that await them, invitations
to the invited users. What the bus reports as lost is compared with the store (`reconcile`). Revocations come another way
(`revocation.follow`). There is one loop, at the pace at which connections are written to, so batches grow with load.

Every gateway reads every event, and a read costs as much as thirty events. So a gateway that read nothing for its own connections
lets events gather before it reads again (`Linger`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping

import structlog
from google.protobuf.message import DecodeError

from bus.bus import Bus, BusUnavailable, Delivery, Lost
from bus.topics import events, replies
from chassis.backoff import retrying
from chassis.metrics import DEFECTS
from gateway.hub.hub import Hub
from gateway.hub.reconcile import Reconciler
from gateway.metrics import BUS_LOST, EVENTS
from gateway.model import Account
from gateway.protocol import outgoing
from gateway.wire.writer import Writer
from hubbub.events.v1.events_pb2 import Event, EventBatch, Invitation, Reads, Receipt, Reply, ReplyBatch

log = structlog.get_logger()
_stale = EVENTS.labels("stale")


LINGER_SECONDS = 0.001, 0.02
"""The first and the longest pause before a read."""
GATHERED = 32, 128
"""A pause in which fewer entries gathered is doubled, one in which more did is halved."""


class Linger:
    """How long entries may gather before the next read, while what was read concerns no connection here."""

    def __init__(self, awaiting: Callable[[], bool]) -> None:
        self._awaiting = awaiting
        """Whether commands of connections here await their outcome."""
        self._seconds = 0.0
        self.foreign = 0
        """Entries read that concern no connection here."""
        self.local = False
        """Something else was read."""

    def read(self, *, local: bool) -> None:
        """An entry was read; `local` if it concerns a connection here."""
        self.local |= local
        self.foreign += not local

    def __call__(self) -> float:
        """The pause in seconds, after everything that was read has been taken."""
        (few, many), (shortest, longest) = GATHERED, LINGER_SECONDS
        if self.local or not self.foreign or self._awaiting():
            self._seconds = 0.0
        elif self.foreign < few:
            self._seconds = min(max(2 * self._seconds, shortest), longest)
        elif self.foreign > many:
            self._seconds /= 2
        self.foreign, self.local = 0, False
        return self._seconds


class Fanout:
    """Follows events, receipts and replies."""

    def __init__(
        self,
        bus: Bus,
        gateway: str,
        *,
        partitions: int,
        hub: Hub,
        writer: Writer,
        accounts: Mapping[tuple[str, str], Account],
        reconciler: Reconciler,
        on_reads: Callable[[Reads], None],
        on_event: Callable[[Event], None],
        on_reply: Callable[[Reply], None],
        on_lost: Callable[[], None],
        on_tenant: Callable[[str], None] = lambda _tenant: None,
        awaiting: Callable[[], bool] = lambda: False,
    ) -> None:
        self._bus = bus
        self._gateway = gateway
        self._hub = hub
        self._writer = writer
        self._accounts = accounts
        """Users with connections, by tenant and user."""
        self._reconciler = reconciler
        self._on_reads = on_reads
        """Called with the read positions that moved in a large channel."""
        self._on_event = on_event
        """Called with each event that may be the outcome of a command of this gateway."""
        self._on_reply = on_reply
        """Called with each outcome that is not an event."""
        self._on_lost = on_lost
        """Called when events may be lost: memberships may have been missed."""
        self._on_tenant = on_tenant
        """Called with each tenant of which events come, over any gateway; not for each event."""
        self._linger = Linger(awaiting)
        self._partitions = {events(partition).name: partition for partition in range(partitions)}
        self._topics = [*(events(partition) for partition in range(partitions)), replies(gateway)]
        self._handlers: dict[str, Callable[[bytes], None]] = {
            **dict.fromkeys(self._partitions, self._take_events),
            replies(gateway).name: self._take_replies,
        }

    async def run(self, on_following: Callable[[], None]) -> None:
        """Follow, forever. `on_following` is called when nothing published from then on is missed."""
        async for attempt in retrying(BusUnavailable):
            with attempt:
                await self._follow(on_following)

    async def _follow(self, on_following: Callable[[], None]) -> None:
        try:
            async with self._bus.follow(self._topics, linger=self._linger) as deliveries:
                on_following()
                async for delivery in deliveries:
                    await self._take(delivery)
        except BusUnavailable:
            log.warning("bus_not_followed")
            raise

    async def _take(self, delivery: Delivery | Lost) -> None:
        match delivery:
            case Delivery(topic, entries):
                handle = self._handlers[topic]
                for entry in entries:
                    self._handle(handle, topic, entry.payload)
                    await self._writer.paced()
                if self._linger.local or len(entries) >= GATHERED[0]:
                    await asyncio.sleep(0)
            case Lost(topics, reason):
                self._lost(topics, reason)

    def _handle(self, handle: Callable[[bytes], None], topic: str, payload: bytes) -> None:
        try:
            handle(payload)
        except DecodeError:  # the entry's events show as a gap
            DEFECTS.labels("bus_entry").inc()
            log.error("bus_entry_unreadable", topic=topic)  # noqa: TRY400 - a traceback adds nothing
            self._lost((topic,), "unreadable")
        except Exception as error:  # the consume loop: one entry must not stop the others
            DEFECTS.labels("fanout").inc()
            log.exception("bus_entry_failed", topic=topic, error=type(error).__name__)
            self._lost((topic,), "failed")

    def _take_events(self, payload: bytes) -> None:
        batch = EventBatch.FromString(payload)
        if not self._hub.epoch.accept(batch.epoch):
            self._drop_stale([*batch.events, *batch.changes])
            batch.ClearField("events")
            batch.ClearField("changes")
            batch.ClearField("heads")
        local = self._take_changes(batch.changes) | self._take_log(batch.events)
        for receipt in batch.receipts:
            local |= self._send_receipt(receipt)
        for reads in batch.reads:
            local |= reads.channel in self._hub.channels
            self._on_reads(reads)
        for invitation in batch.invitations:
            local |= self._send_invitation(invitation)
        for head in batch.heads:
            self._reconciler.announced(head.channel, head.seq, head.roster)
        self._linger.read(local=local)

    def _take_changes(self, changes: Iterable[Event]) -> bool:
        """Take roster changes. Returns whether one concerns a connection here."""
        local = False
        for change in changes:
            local |= change.channel in self._hub.channels or (change.tenant, change.subject) in self._accounts
            self._hub.take_change(change)
        return local

    def _take_log(self, events: Iterable[Event]) -> bool:
        """Take log entries. Returns whether one is of a channel with local members."""
        channels, tenant, local = self._hub.channels, "", False
        for event in events:
            if event.channel in channels:
                local = True
            if event.tenant != tenant:
                tenant = event.tenant
                self._on_tenant(tenant)
            if not event.gateway or event.gateway == self._gateway:  # the sweeper does not know the gateway
                self._on_event(event)
            self._hub.take(event)
        return local

    def _drop_stale(self, events: Iterable[Event]) -> None:
        """Events of an earlier epoch may not exist any more. Those that do are fetched, since their channels are compared."""
        channels = [event.channel for event in events]
        _stale.inc(len(channels))
        self._reconciler.suspect(channels)

    def _send_receipt(self, receipt: Receipt) -> bool:
        """Send a receipt. Returns whether the channel has local members."""
        channel = self._hub.channels.get(receipt.channel)
        if channel is None:
            return False
        payload = outgoing.encode(outgoing.Receipt(receipt.channel, receipt.user, receipt.read_seq))
        others = [each for each in channel.open_connections() if each.id != receipt.connection]
        self._writer.broadcast(others, payload)
        return True

    def _send_invitation(self, invitation: Invitation) -> bool:
        """Send an invitation. Returns whether the user is connected here."""
        account = self._accounts.get((invitation.tenant, invitation.user))
        if account is None:
            return False
        self._writer.broadcast([each for each in account.connections if each.flowing], invitation.payload)
        return True

    def _take_replies(self, payload: bytes) -> None:
        self._linger.read(local=True)
        for reply in ReplyBatch.FromString(payload).replies:
            self._on_reply(reply)

    def _lost(self, topics: tuple[str, ...], reason: str) -> None:
        BUS_LOST.labels(reason).inc()
        log.warning("bus_lost_entries", reason=reason, topics=len(topics))
        self._hub.recent.losses += 1
        self._reconciler.suspect_partitions({self._partitions[topic] for topic in topics if topic in self._partitions})
        if any(topic != replies(self._gateway).name for topic in topics):
            self._on_lost()

"""Publishes stored entries, roster changes, read positions and replies on the bus, after the commit.

Events of a channel are published in the order of their numbers, and so are the changes of a roster. Publishing one twice is
harmless: gateways drop repeats by number. The publisher collects the rows of `unpublished` whose entries the bus has; the sweeper
deletes them. `heads` announces how far each log was published.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence

from bus import topics
from bus.bus import Bus
from bus.topics import Topic, partition_of
from hubbub.events.v1 import events_pb2 as events
from messages import convert
from messages.commands.model import Outcome, Stored, Verdict
from messages.heads import Heads
from messages.message import ChannelId, CommandId, Entry, Invitation, Reads, Receipt, TenantId, UserId
from messages.metrics import PUBLISH_SECONDS
from messages.payload import invited_frame, rfc3339

_BATCH_BYTES = 256 * 1024
"""A batch of events that has reached this size is closed."""


class Publisher:
    """The publisher of one process."""

    def __init__(self, bus: Bus, partitions: int) -> None:
        self._bus = bus
        self._topics = [topics.events(number) for number in range(partitions)]
        """Event topics by partition."""
        self.heads = Heads(bus, partitions)
        self._published: list[int] = []
        """Rows of `unpublished` whose entries the bus has."""

    @property
    def partitions(self) -> int:
        """How many topics of events there are."""
        return len(self._topics)

    async def publish_stored(self, stored: Stored) -> None:
        """Publish the events, read positions and replies of a batch. Raises `BusError`: the rows of `unpublished` then stay."""
        await self._publish(self.batch(stored))
        self.published(stored.entries, stored.unpublished)

    def batch(self, stored: Stored) -> list[tuple[Topic, bytes]]:
        """Encode the events, read positions and replies of a batch. Once they are published, call `published`."""
        gateways = {outcome.command: outcome.gateway for outcome in stored.outcomes}
        events_of = self._events(stored.entries, gateways)
        return events_of + self._positions(stored.receipts, stored.reads) + replies(filter(_needs_reply, stored.outcomes))

    async def publish_entries(self, entries: Sequence[Entry], unpublished: Sequence[int], changes: Sequence[Entry] = ()) -> None:
        """Publish entries that no gateway awaits, and roster changes. Raises as `publish_stored`."""
        await self._publish(self._changes(changes) + self._events(entries, {}))
        self.heads.note_changes(changes)
        self.published(entries, unpublished)

    async def publish_rejected(self, payloads: Sequence[bytes]) -> None:
        """Publish payloads on the topic `rejected`, for an operator to inspect. Raises `BusError`."""
        await self._publish([(topics.rejected(), payload) for payload in payloads])

    async def publish_revocation(self, revocation: events.Revocation) -> None:
        """Publish a revocation to every gateway. Raises `BusError`."""
        await self._publish([(topics.revocations(), events.RevocationBatch(users=[revocation]).SerializeToString())])

    async def publish_block(self, block: events.PeerBlock) -> None:
        """Publish a block between users to every gateway. Raises `BusError`."""
        await self._publish([(topics.revocations(), events.RevocationBatch(blocks=[block]).SerializeToString())])

    def published(self, entries: Sequence[Entry], unpublished: Sequence[int]) -> None:
        """The bus has these entries, and so the rows can be deleted."""
        self.heads.note(entries)
        self._published += unpublished

    async def publish_invitations(self, tenant: TenantId, channel: ChannelId, invitations: Mapping[UserId, Invitation]) -> None:
        """Tell every gateway of new invitations to a channel. Raises `BusError`."""
        batch = events.EventBatch()
        for user, invitation in invitations.items():
            batch.invitations.add(tenant=tenant, channel=channel, user=user, payload=invited_frame(invitation))
        await self._publish([(self._topics[self._partition(channel)], batch.SerializeToString())])

    def take_published(self) -> list[int]:
        """Hand over the rows to delete. If deleting fails, return them with `put_back`."""
        published, self._published = self._published, []
        return published

    def put_back(self, unpublished: Sequence[int]) -> None:
        """The rows are still to be deleted."""
        self._published += unpublished

    async def _publish(self, batch: list[tuple[Topic, bytes]]) -> None:
        if not batch:
            return
        started = time.perf_counter()
        await self._bus.publish(batch)
        PUBLISH_SECONDS.observe(time.perf_counter() - started)

    def _partition(self, channel: ChannelId) -> int:
        return partition_of(channel, len(self._topics))

    def _events(self, entries: Sequence[Entry], gateways: Mapping[CommandId, str]) -> list[tuple[Topic, bytes]]:
        """Events in batches of one topic and one epoch each, limited in size."""
        unfinished: dict[int, events.EventBatch] = {}
        sizes: dict[int, int] = {}
        batches: list[tuple[Topic, events.EventBatch]] = []
        for entry in entries:
            partition = self._partition(entry.channel)
            if partition not in unfinished or unfinished[partition].epoch != entry.epoch:
                unfinished[partition], sizes[partition] = events.EventBatch(epoch=entry.epoch), 0
                batches.append((self._topics[partition], unfinished[partition]))
            gateway = gateways.get(entry.command, "") if entry.command else ""
            sizes[partition] += convert.write_event(unfinished[partition].events.add(), entry, gateway)
            if sizes[partition] >= _BATCH_BYTES:
                del unfinished[partition]
        return [(topic, batch.SerializeToString()) for topic, batch in batches]

    def _changes(self, changes: Sequence[Entry]) -> list[tuple[Topic, bytes]]:
        """Roster changes in batches of one topic and one epoch each."""
        batches: dict[tuple[int, str], events.EventBatch] = {}
        for change in changes:
            place = self._partition(change.channel), change.epoch
            batch = batches.setdefault(place, events.EventBatch(epoch=change.epoch))
            convert.write_change(batch.changes.add(), change)
        return [(self._topics[partition], batch.SerializeToString()) for (partition, _), batch in batches.items()]

    def _positions(self, receipts: Sequence[Receipt], reads: Sequence[Reads]) -> list[tuple[Topic, bytes]]:
        batches: dict[int, events.EventBatch] = {}
        for moved in receipts:
            batch = batches.setdefault(self._partition(moved.channel), events.EventBatch())
            batch.receipts.append(convert.receipt(moved))
        for many in reads:
            batch = batches.setdefault(self._partition(many.channel), events.EventBatch())
            batch.reads.append(convert.reads(many))
        return [(self._topics[partition], batch.SerializeToString()) for partition, batch in batches.items()]


def _needs_reply(outcome: Outcome) -> bool:
    """An entry is its own acknowledgement; refusals and repeats need a reply."""
    return outcome.error is not None or outcome.verdict is Verdict.DUPLICATE


def replies(outcomes: Iterable[Outcome]) -> list[tuple[Topic, bytes]]:
    """Encode outcomes as replies to the gateways that await them."""
    batches: dict[str, events.ReplyBatch] = {}
    for outcome in outcomes:
        if outcome.gateway:
            batches.setdefault(outcome.gateway, events.ReplyBatch()).replies.append(_reply(outcome))
    return [(topics.replies(gateway), batch.SerializeToString()) for gateway, batch in batches.items()]


def _reply(outcome: Outcome) -> events.Reply:
    reply = events.Reply(command=outcome.command, channel=outcome.channel, seq=outcome.seq, message=outcome.message or "")
    if outcome.error:
        reply.reason, reply.detail, reply.retry_after = outcome.error.reason, outcome.error.detail, outcome.error.retry_after
    else:
        reply.duplicate = True
        if outcome.at:
            reply.at = rfc3339(outcome.at)
    return reply

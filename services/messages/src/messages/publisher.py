"""Puts what was stored on the bus, after the commit, and remembers which rows of `unpublished` that settles.

Within a channel events leave in the order of their numbers. Who publishes the same again does no harm: readers go by number.
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
from messages.message import ChannelId, CommandId, Entry, Receipt
from messages.metrics import PUBLISH_SECONDS
from messages.payload import rfc3339

_BATCH_BYTES = 256 * 1024
"""A batch of events that holds so much is closed."""


class Publisher:
    """One process's way to the bus."""

    def __init__(self, bus: Bus, partitions: int) -> None:
        self._bus = bus
        self._topics = [topics.events(number) for number in range(partitions)]
        """Of events, by partition."""
        self._settled: list[int] = []
        """Rows of `unpublished` whose entries the bus has; the sweeper removes them."""

    async def publish_stored(self, stored: Stored) -> None:
        """Publish what a batch left: its events, receipts and replies. Raises `BusError`; then nothing is settled."""
        await self._publish(self.batch(stored))
        self.settle(stored.unpublished)

    def batch(self, stored: Stored) -> list[tuple[Topic, bytes]]:
        """What a batch left, for the bus. Whoever publishes it tells `settle` of the rows that `stored` noted."""
        gateways = {outcome.command: outcome.gateway for outcome in stored.outcomes}
        events_of = self._events(stored.entries, gateways)
        return events_of + self._receipts(stored.receipts) + replies(filter(_needs_reply, stored.outcomes))

    async def publish_entries(self, entries: Sequence[Entry], noted: Sequence[int]) -> None:
        """Publish entries that nobody awaits. Raises as `publish_stored`."""
        await self._publish(self._events(entries, {}))
        self._settled += noted

    async def publish_rejected(self, payloads: Sequence[bytes]) -> None:
        """Set poison aside for people to look at. Raises `BusError`."""
        await self._publish([(topics.rejected(), payload) for payload in payloads])

    async def publish_revocation(self, decision: events.Revocation) -> None:
        """Tell every gateway about a user. Raises `BusError`."""
        await self._publish([(topics.revocations(), events.RevocationBatch(users=[decision]).SerializeToString())])

    def take_settled(self) -> list[int]:
        """The rows to remove, once: give them back with `settle` when removing fails."""
        settled, self._settled = self._settled, []
        return settled

    def settle(self, noted: Sequence[int]) -> None:
        """Remember rows to remove."""
        self._settled += noted

    async def _publish(self, batch: list[tuple[Topic, bytes]]) -> None:
        if not batch:
            return
        started = time.perf_counter()
        await self._bus.publish(batch)
        PUBLISH_SECONDS.observe(time.perf_counter() - started)

    def _partition(self, channel: ChannelId) -> int:
        return partition_of(channel, len(self._topics))

    def _events(self, entries: Sequence[Entry], gateways: Mapping[CommandId, str]) -> list[tuple[Topic, bytes]]:
        """Batches of events, each of one topic and of a size that the bus carries well."""
        unfinished: dict[int, events.EventBatch] = {}
        sizes: dict[int, int] = {}
        batches: list[tuple[Topic, events.EventBatch]] = []
        for entry in entries:
            partition = self._partition(entry.channel)
            if partition not in unfinished:
                unfinished[partition], sizes[partition] = events.EventBatch(), 0
                batches.append((self._topics[partition], unfinished[partition]))
            gateway = gateways.get(entry.command, "") if entry.command else ""
            sizes[partition] += convert.write_event(unfinished[partition].events.add(), entry, gateway)
            if sizes[partition] >= _BATCH_BYTES:
                del unfinished[partition]
        return [(topic, batch.SerializeToString()) for topic, batch in batches]

    def _receipts(self, receipts: Sequence[Receipt]) -> list[tuple[Topic, bytes]]:
        batches: dict[int, events.EventBatch] = {}
        for moved in receipts:
            batch = batches.setdefault(self._partition(moved.channel), events.EventBatch())
            batch.receipts.append(convert.receipt(moved))
        return [(self._topics[partition], batch.SerializeToString()) for partition, batch in batches.items()]


def _needs_reply(outcome: Outcome) -> bool:
    """Entries speak for themselves; refusals and repeats must be told."""
    return outcome.error is not None or outcome.verdict is Verdict.DUPLICATE


def replies(outcomes: Iterable[Outcome]) -> list[tuple[Topic, bytes]]:
    """What tells the gateways of these outcomes, for the bus."""
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

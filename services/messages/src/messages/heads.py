"""Announces on the bus the heads of the channels in which this process has published, so that gateways notice lost events.

The events of a channel precede its announced head on the bus. A gateway that has not heard of that number has lost an event, and
nothing else would tell it in a channel that has become quiet. An announcement costs the store nothing, and it grows with the
channels that were active. What is not announced (a crash, the bound) is found by the gateways' own rounds.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable

import structlog

from bus import topics
from bus.bus import Bus, BusError
from bus.topics import Topic, partition_of
from chassis.lifecycle import pause
from hubbub.events.v1 import events_pb2 as events
from messages.message import ChannelId, Entry

log = structlog.get_logger()
PERIOD_SECONDS = 10.0
BOUND = 50_000
"""Channels whose heads wait to be announced; others are left out."""
_BATCH = 2_000
"""Heads in one entry of the bus."""


class Heads:
    """The heads to announce."""

    def __init__(self, bus: Bus, partitions: int) -> None:
        self._bus = bus
        self._topics = [topics.events(number) for number in range(partitions)]
        self._heads: dict[ChannelId, tuple[int, str]] = {}
        """Number and epoch of the last entry published, by channel."""
        self._rosters: dict[ChannelId, tuple[int, str]] = {}
        """Number and epoch of the last roster change published, by channel."""

    def note(self, published: Iterable[Entry]) -> None:
        """These entries are on the bus."""
        for entry in published:
            _raise(self._heads, entry.channel, entry.seq, entry.epoch)

    def note_changes(self, published: Iterable[Entry]) -> None:
        """These roster changes are on the bus."""
        for change in published:
            _raise(self._rosters, change.channel, change.roster, change.epoch)

    async def run(self, stopping: asyncio.Event) -> None:
        """Announce periodically until `stopping`; what the bus refuses is left to the gateways' rounds."""
        while not stopping.is_set():
            await pause(stopping, PERIOD_SECONDS * random.uniform(0.75, 1.25))
            try:
                await self.announce()
            except BusError as error:
                log.info("heads_not_announced", error=type(error).__name__)

    async def announce(self) -> None:
        """Announce what was noted. Raises `BusError`."""
        heads, self._heads = self._heads, {}
        rosters, self._rosters = self._rosters, {}
        noted = [(channel, epoch, seq, 0) for channel, (seq, epoch) in heads.items()]
        noted += [(channel, epoch, 0, number) for channel, (number, epoch) in rosters.items()]
        batches: dict[tuple[int, str], list[events.EventBatch]] = {}
        for channel, epoch, seq, roster in noted:
            parts = batches.setdefault((partition_of(channel, len(self._topics)), epoch), [])
            if not parts or len(parts[-1].heads) == _BATCH:
                parts.append(events.EventBatch(epoch=epoch))
            parts[-1].heads.add(channel=channel, seq=seq, roster=roster)
        entries: list[tuple[Topic, bytes]] = [
            (self._topics[partition], part.SerializeToString()) for (partition, _), parts in batches.items() for part in parts
        ]
        if entries:
            await self._bus.publish(entries)


def _raise(heads: dict[ChannelId, tuple[int, str]], channel: ChannelId, number: int, epoch: str) -> None:
    known = heads.get(channel)
    if known is None:
        if len(heads) < BOUND:
            heads[channel] = (number, epoch)
    elif (epoch, number) > (known[1], known[0]):
        heads[channel] = (number, epoch)

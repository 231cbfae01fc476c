"""Compares each channel's head with the store: suspected channels at once, and all channels periodically.

If the store's head is beyond the hub's, events are in flight or lost. A suspected channel is fetched at once; that is harmless
for events in flight. What was lost without a trace is found in two ways:

- The messages service announces the heads of channels in which it has published lately (`announced`). The events precede them on
  the bus, so a head of which the hub has not heard is a gap.
- A periodic round compares all channels with the store, at a bounded rate. It first waits `GRACE_SECONDS` for events in flight: a
  gap that is still there was found by nothing else.

Both count the gap. If the store's head is *behind* the hub's, the store has lost commits (in a failover), and events were
delivered that no longer exist: the channel's connections are closed and resync.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable, Sequence

import structlog

from bus.topics import partition_of
from chassis.backoff import Backoff
from chassis.errors import HubbubError, Unavailable
from chassis.grpc_client import call
from gateway.clients import CALL_SECONDS
from gateway.hub.hub import Hub
from gateway.metrics import COMPARED, GAPS, HOLES
from gateway.model import Channel
from hubbub.messages.v1.messages_service_pb2 import GetHeadsRequest, Position
from hubbub.messages.v1.messages_service_pb2_grpc import MessagesServiceStub

log = structlog.get_logger()
CHUNK = 500
"""Channels compared by one call; the service accepts 1,000."""
CHANNELS_PER_SECOND = 100
"""The rate of the periodic round: what all gateways ask of the store must not grow with their channels."""
GRACE_SECONDS = 2.0
"""Time in which a stored event arrives over a healthy bus."""


class Reconciler:
    """Compares heads."""

    def __init__(self, hub: Hub, messages: MessagesServiceStub, partitions: int, round_seconds: float) -> None:
        self._hub = hub
        self._messages = messages
        self._partitions = partitions
        self._round_seconds = round_seconds
        """About how long the periodic round takes, at least."""
        self._suspects: dict[str, None] = {}
        """Channels to compare at once."""
        self._wake = asyncio.Event()

    def suspect(self, channels: Iterable[str]) -> None:
        """Compare these channels at once."""
        self._suspects.update(dict.fromkeys(channels))
        self._wake.set()

    def suspect_partitions(self, partitions: set[int]) -> None:
        """Compare every local channel of these partitions at once."""
        self.suspect(key for key in self._hub.channels if partition_of(key, self._partitions) in partitions)

    def announced(self, channel_id: str, head: int, roster: int = 0) -> None:
        """Event `head` and change `roster` of the channel were published before this was heard."""
        channel = self._hub.channels.get(channel_id)
        if channel is None:
            return
        if max(channel.target, channel.head) < head or max(channel.roster_target, channel.roster) < roster:
            self._found(channel, head, roster)

    async def run(self) -> None:
        """Compare suspected channels as they come, forever; retry while the store does not answer."""
        backoff = Backoff()
        while True:
            await self._wake.wait()
            chunk = [key for key, _ in zip(self._suspects, range(CHUNK), strict=False)]
            try:
                behind, ahead = await self._compare(chunk, "trouble")
            except HubbubError:
                await backoff.wait()
                continue
            backoff.succeeded()
            for channel, stored in behind:
                self._hub.expect(channel, stored.seq, stored.roster)
            self._rewind(ahead)
            for key in chunk:
                self._suspects.pop(key, None)
            if not self._suspects:
                self._wake.clear()

    async def run_periodically(self) -> None:
        """Compare all channels, round after round, forever."""
        while True:
            keys = list(self._hub.channels)
            chunks = [keys[start : start + CHUNK] for start in range(0, len(keys), CHUNK)] or [[]]
            for chunk in chunks:
                await asyncio.sleep(self.pause_before(len(chunk), len(keys)) * random.uniform(0.75, 1.25))
                try:
                    await self._compare_patiently(chunk)
                except HubbubError as error:
                    log.warning("comparison_skipped", reason=error.reason)

    def pause_before(self, channels: int, all_channels: int) -> float:
        """Seconds before so many of all channels are compared."""
        if not channels:
            return self._round_seconds
        return max(self._round_seconds * channels / all_channels, channels / CHANNELS_PER_SECOND)

    async def _compare_patiently(self, chunk: Sequence[str]) -> None:
        behind, ahead = await self._compare(chunk, "round")
        if not behind and not ahead:
            return
        await asyncio.sleep(GRACE_SECONDS)
        for channel, stored in behind:
            if _lags(channel, stored) and self._hub.channels.get(channel.id) is channel and not channel.filling:
                self._found(channel, stored.seq, stored.roster)
        if ahead:
            _, still = await self._compare([channel.id for channel in ahead], "round")
            self._rewind(still)

    def _found(self, channel: Channel, head: int, roster: int) -> None:
        HOLES.inc()
        log.warning("gap_found", channel=channel.id, head=channel.head, stored=head)
        self._hub.expect(channel, head, roster)

    async def _compare(self, chunk: Sequence[str], reason: str) -> tuple[list[tuple[Channel, Position]], list[Channel]]:
        """Channels that are behind the store, with their positions there; and channels that are ahead of it."""
        known = {
            key: (channel, channel.head, channel.roster) for key in chunk if (channel := self._hub.channels.get(key)) is not None
        }
        if not known:
            return [], []
        answer = await call(self._messages.GetHeads, GetHeadsRequest(channels=list(known)), timeout=CALL_SECONDS)
        if not self._hub.epoch.accept(answer.epoch):
            raise Unavailable
        COMPARED.labels(reason).inc(len(known))
        behind, ahead = [], []
        for position in answer.heads:
            channel, head, roster = known[position.channel]
            if self._hub.channels.get(position.channel) is not channel:
                continue
            if _lags(channel, position):
                behind.append((channel, position))
            elif position.seq < head or position.roster < roster:
                ahead.append(channel)
        return behind, ahead

    def _rewind(self, channels: Iterable[Channel]) -> None:
        for channel in channels:
            GAPS.labels("rewound").inc()
            log.error("store_lost_commits", channel=channel.id, head=channel.head)
            self._hub.expel(channel)


def _lags(channel: Channel, stored: Position) -> bool:
    """Whether the store has an event or a roster change that the channel has not."""
    return stored.seq > channel.head or stored.roster > channel.roster

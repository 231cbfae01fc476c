"""Compares what this gateway has handed on with what the store holds: at once after trouble of the bus, and slowly all the time.

A head of the store beyond the hub's is on its way, or lost: a hole that no later entry has revealed. After trouble it is
fetched at once, which does no harm to what is on its way. The slow round lets entries arrive for `GRACE_SECONDS` first, so
that what it still misses then is a hole that nothing else has found, and counts as one.

A head of the store *behind* the hub's is a store that has gone back in time (a failover that lost commits). What was handed
on has never happened then: the channel's sockets are closed with 4005 and start anew.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable, Sequence

import structlog

from bus.topics import partition_of
from chassis.errors import HubbubError
from chassis.grpc_client import call
from gateway.backoff import FIRST_SECONDS, LONGEST_SECONDS
from gateway.clients import CALL_SECONDS
from gateway.metrics import AUDITED, GAPS, HOLES
from gateway.outbound.channel import Channel
from gateway.outbound.hub import Hub
from gateway.outbound.membership import RESYNC_NEEDED
from hubbub.messages.v1.messages_service_pb2 import GetHeadsRequest
from hubbub.messages.v1.messages_service_pb2_grpc import MessagesServiceStub

log = structlog.get_logger()
CHUNK = 500
"""Channels compared by one call; the service's bound is 1,000."""
GRACE_SECONDS = 2.0
"""In which an entry that is stored arrives over a healthy bus."""


class Audit:
    """The comparison."""

    def __init__(self, hub: Hub, messages: MessagesServiceStub, partitions: int, round_seconds: float) -> None:
        self._hub = hub
        self._messages = messages
        self._partitions = partitions
        self._round_seconds = round_seconds
        """About how long the slow round takes."""
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

    async def run(self) -> None:
        """Compare suspects as they come, for ever; a store that does not answer is asked again."""
        pause = FIRST_SECONDS
        while True:
            await self._wake.wait()
            chunk = [key for key, _ in zip(self._suspects, range(CHUNK), strict=False)]
            try:
                behind, ahead = await self._compare(chunk, "trouble")
            except HubbubError:
                await asyncio.sleep(pause * random.uniform(0.5, 1.0))
                pause = min(pause * 2, LONGEST_SECONDS)
                continue
            pause = FIRST_SECONDS
            for channel, head in behind:
                self._hub.expect(channel, head)
            self._rewind(ahead)
            for key in chunk:
                self._suspects.pop(key, None)
            if not self._suspects:
                self._wake.clear()

    async def run_slowly(self) -> None:
        """Go round all channels, for ever."""
        while True:
            keys = list(self._hub.channels)
            chunks = [keys[start : start + CHUNK] for start in range(0, len(keys), CHUNK)] or [[]]
            for chunk in chunks:
                await asyncio.sleep(self._round_seconds / len(chunks) * random.uniform(0.75, 1.25))
                try:
                    await self._compare_patiently(chunk)
                except HubbubError as error:
                    log.warning("audit_skipped", reason=error.reason)

    async def _compare_patiently(self, chunk: Sequence[str]) -> None:
        behind, ahead = await self._compare(chunk, "round")
        if not behind and not ahead:
            return
        await asyncio.sleep(GRACE_SECONDS)
        for channel, head in behind:
            if channel.head < head and self._hub.channels.get(channel.id) is channel and not channel.filling:
                HOLES.inc()
                log.warning("hole_found", channel=channel.id, head=channel.head, stored=head)
                self._hub.expect(channel, head)
        if ahead:
            _, still = await self._compare([channel.id for channel in ahead], "round")
            self._rewind(still)

    async def _compare(self, chunk: Sequence[str], reason: str) -> tuple[list[tuple[Channel, int]], list[Channel]]:
        """Channels that are behind the store, with its heads, and those that are ahead of it."""
        known = {key: (channel, channel.head) for key in chunk if (channel := self._hub.channels.get(key)) is not None}
        if not known:
            return [], []
        answer = await call(self._messages.GetHeads, GetHeadsRequest(channels=list(known)), timeout=CALL_SECONDS)
        AUDITED.labels(reason).inc(len(known))
        behind, ahead = [], []
        for position in answer.heads:
            channel, head = known[position.channel]
            if position.seq > channel.head:
                behind.append((channel, position.seq))
            elif position.seq < head:
                ahead.append(channel)
        return behind, ahead

    def _rewind(self, channels: Iterable[Channel]) -> None:
        for channel in channels:
            GAPS.labels("rewound").inc()
            log.error("store_went_back", channel=channel.id, head=channel.head)
            self._hub.expel(channel, RESYNC_NEEDED)

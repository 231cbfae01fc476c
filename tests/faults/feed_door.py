"""A product that follows the log by the feed, as docs/grpc.md tells it to: it applies what it receives, and acknowledges some."""

import asyncio
import json
import random
from collections.abc import Mapping
from dataclasses import dataclass, field

import grpc

from hubbub.messages.v1 import feed_service_pb2 as rpc
from hubbub.messages.v1.feed_service_pb2_grpc import FeedServiceStub
from tests.faults.record import Entry, FeedStep

_READER = "prover"
_SECONDS = 10.0
_RETRY_SECONDS = 0.2
_ACKNOWLEDGES, _STALLS, _RESTARTS = 0.3, 0.05, 0.02
"""How often, of the responses, the product does that."""
_REPEATED = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.CANCELLED})
"""Statuses after which the product calls again; any other ends the run."""


@dataclass
class Product:
    """The product, and the record of what it receives."""

    feed: FeedServiceStub
    tenant: str
    dice: random.Random
    steps: list[FeedStep]
    longest_stall_seconds: float = 2.0
    heads: dict[str, int] = field(default_factory=dict)
    """By channel: the number of the last event."""
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def run(self) -> None:
        """Follow until cancelled."""
        while True:
            try:
                await self._follow()
            except grpc.aio.AioRpcError as error:
                if error.code() not in _REPEATED:
                    raise
                await asyncio.sleep(_RETRY_SECONDS)

    async def reach(self, heads: Mapping[str, int], seconds: float) -> None:
        """Wait until the last events of these channels were received, or the time is over."""
        try:
            async with asyncio.timeout(seconds):
                while any(self.heads.get(channel, 0) < head for channel, head in heads.items()):
                    self.changed.clear()
                    await self.changed.wait()
        except TimeoutError:
            pass  # the checker finds what is missing

    async def _follow(self) -> None:
        """Follow by one stream, until it fails or the product restarts."""
        self.steps.append(FeedStep("stream"))
        start, chosen = rpc.READER_START_BEGINNING, rpc.EventFilter(tenants=[self.tenant])
        call = self.feed.StreamEvents(rpc.StreamEventsRequest(reader=_READER, start=start, filter=chosen))
        async for response in call:
            self._take(response)
            if self.dice.random() < _STALLS:
                await asyncio.sleep(self.dice.random() * self.longest_stall_seconds)
            if self.dice.random() < _RESTARTS:
                call.cancel()
                return
            if response.cursor and self.dice.random() < _ACKNOWLEDGES:
                request = rpc.AcknowledgeEventsRequest(reader=_READER, cursor=response.cursor)
                await self.feed.AcknowledgeEvents(request, timeout=_SECONDS)
                self.steps.append(FeedStep("acknowledged", response.epoch))

    def _take(self, response: rpc.StreamEventsResponse) -> None:
        for reset in response.resets:
            self.heads[reset.channel] = min(self.heads.get(reset.channel, 0), reset.seq)
            self.steps.append(FeedStep("reset", response.epoch, reset.channel, reset.seq))
        for event in response.events:
            self.heads[event.channel] = event.seq
            entry = Entry.of(json.loads(event.payload))
            self.steps.append(FeedStep("event", response.epoch, event.channel, event.seq, entry))
        self.changed.set()

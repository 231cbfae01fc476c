"""Fetches the entries that a channel is known to miss here: one fetch per channel at a time, in order, until none is missing.

A hole that stays open although the store answers, or for longer than `GIVE_UP_SECONDS`, closes the channel's sockets
with 4005: they come back and read from the store what this gateway cannot get for them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial

import structlog

from chassis.errors import HubbubError
from chassis.grpc_client import call
from gateway.backoff import delays
from gateway.clients import CALL_SECONDS
from gateway.contain import contained
from gateway.metrics import GAPS
from gateway.outbound.channel import Channel
from gateway.outbound.hub import Hub
from gateway.outbound.membership import RESYNC_NEEDED
from hubbub.events.v1.events_pb2 import Event
from hubbub.messages.v1.messages_service_pb2 import FetchEventsRequest
from hubbub.messages.v1.messages_service_pb2_grpc import MessagesServiceStub

log = structlog.get_logger()
CONCURRENT = 32
"""Fetches at one time; after a wiped bus every channel may need one."""
PAGE = 500
GIVE_UP_SECONDS = 60.0
FRUITLESS = 5
"""Answers without the wanted entry after which the hole counts as one that cannot be closed."""


class Fills:
    """Holes being closed."""

    def __init__(
        self, hub: Hub, messages: MessagesServiceStub, stored: Callable[[Event], None], group: asyncio.TaskGroup
    ) -> None:
        self._hub = hub
        self._messages = messages
        self._stored = stored
        """Told of each entry fetched: a command that awaits it is stored, although its event was lost."""
        self._group = group
        self._slots = asyncio.Semaphore(CONCURRENT)
        hub.on_gap = self.fill

    def fill(self, channel: Channel) -> None:
        """Begin to close the hole; the caller has seen that nobody does."""
        channel.filling = True
        expel = partial(self._hub.expel, channel, RESYNC_NEEDED)
        self._group.create_task(contained("fill", self._fill(channel), expel))

    async def _fill(self, channel: Channel) -> None:
        try:
            closed = await self._close_gap(channel)
        finally:
            channel.filling = False
        GAPS.labels("closed" if closed else "kept").inc()
        if not closed:
            log.error("gap_kept", channel=channel.id, head=channel.head, target=channel.target)
            self._hub.expel(channel, RESYNC_NEEDED)

    async def _close_gap(self, channel: Channel) -> bool:
        fruitless = 0
        async for _attempt in delays(GIVE_UP_SECONDS):
            if self._done(channel):
                return True
            try:
                async with self._slots:
                    progressed = await self._fetch(channel)
            except HubbubError:
                continue
            fruitless = 0 if progressed else fruitless + 1
            if fruitless >= FRUITLESS:
                break
        return self._done(channel)

    async def _fetch(self, channel: Channel) -> bool:
        """Fetch page after page while that brings the head forward; whether it did at all."""
        start = channel.head
        while not self._done(channel):
            before = channel.head
            request = FetchEventsRequest(tenant=channel.tenant, channel=channel.id, after=before, limit=PAGE)
            answer = await call(self._messages.FetchEvents, request, timeout=CALL_SECONDS)
            for event in answer.events:
                self._stored(event)
                self._hub.take(event)
            if channel.head == before:
                break
        return channel.head > start

    def _done(self, channel: Channel) -> bool:
        return channel.head >= channel.target or self._hub.channels.get(channel.id) is not channel

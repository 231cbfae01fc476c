"""Fetches the events and roster changes that a channel misses: one fetch per channel at a time, in order, until none is missing.

If the gap stays open although the store answers, or for longer than `GIVE_UP_SECONDS`, the channel's connections are closed:
their clients reconnect and read from the store what this gateway cannot fetch.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from functools import partial

import structlog

from chassis.backoff import retrying
from chassis.errors import HubbubError, Unavailable
from chassis.grpc_client import call
from gateway.clients import CALL_SECONDS
from gateway.hub.hub import Hub
from gateway.metrics import GAPS
from gateway.model import Channel
from gateway.supervise import guarded
from hubbub.events.v1.events_pb2 import Event
from hubbub.messages.v1.messages_service_pb2 import FetchEventsRequest
from hubbub.messages.v1.messages_service_pb2_grpc import MessagesServiceStub

log = structlog.get_logger()
CONCURRENT = 32
"""Fetches at one time. After the bus was wiped, every channel may need one."""
PAGE = 500
GIVE_UP_SECONDS = 60.0
FRUITLESS = 5
"""Answers without the missing event after which the gap cannot be closed."""


class _StillOpen(Exception):
    """A fetch left the gap open."""


class GapFiller:
    """Gaps that are being closed."""

    def __init__(
        self, hub: Hub, messages: MessagesServiceStub, stored: Callable[[Event], None], group: asyncio.TaskGroup
    ) -> None:
        self._hub = hub
        self._messages = messages
        self._stored = stored
        """Called with each event fetched: the command that awaits it is stored, although the bus lost the event."""
        self._group = group
        self._slots = asyncio.Semaphore(CONCURRENT)
        hub.on_gap = self.fill

    def fill(self, channel: Channel) -> None:
        """Begin to close the gap; the caller has checked that it is not being filled."""
        channel.filling = True
        self._group.create_task(guarded("fill", self._fill(channel), partial(self._hub.expel, channel)))

    async def _fill(self, channel: Channel) -> None:
        try:
            closed = await self._close_gap(channel)
        finally:
            channel.filling = False
        GAPS.labels("closed" if closed else "kept").inc()
        if not closed:
            log.error("gap_kept", channel=channel.id, head=channel.head, target=channel.target)
            self._hub.expel(channel)

    async def _close_gap(self, channel: Channel) -> bool:
        fruitless = 0
        with suppress(HubbubError, _StillOpen):
            async for attempt in retrying(HubbubError, _StillOpen, within_seconds=GIVE_UP_SECONDS):
                with attempt:
                    async with self._slots:
                        progressed = await self._fetch(channel)
                    fruitless = 0 if progressed else fruitless + 1
                    if not self._done(channel) and fruitless < FRUITLESS:
                        raise _StillOpen
        return self._done(channel)

    async def _fetch(self, channel: Channel) -> bool:
        """Fetch page after page while that advances the head. Return whether it did."""
        start = channel.head, channel.roster
        while not self._done(channel):
            before = channel.head, channel.roster
            request = FetchEventsRequest(
                tenant=channel.tenant, channel=channel.id, after=channel.head, after_roster=channel.roster, page_size=PAGE
            )
            answer = await call(self._messages.FetchEvents, request, timeout=CALL_SECONDS)
            if not self._hub.epoch.accept(answer.epoch):
                raise Unavailable
            for change in answer.changes:
                self._hub.take_change(change)
            for event in answer.events:
                self._stored(event)
                self._hub.take(event)
            if (channel.head, channel.roster) == before:
                break
        return (channel.head, channel.roster) > start

    def _done(self, channel: Channel) -> bool:
        return not channel.behind or self._hub.channels.get(channel.id) is not channel

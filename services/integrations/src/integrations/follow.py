"""Reads the feed of the log, and stores a delivery for each webhook that takes an event.

A response of the feed is acknowledged after its deliveries are committed. What comes again, after a crash in between, is there
already, so nothing is lost or doubled. One process reads at a time, under a lease.
"""

from __future__ import annotations

import asyncio
import contextlib
import uuid

import grpc
import structlog

from chassis.backoff import Backoff
from chassis.errors import HubbubError
from chassis.grpc_client import call, metadata
from chassis.lifecycle import pause
from chassis.metrics import DEFECTS
from chassis.postgres import Database
from chassis.rpc_errors import from_call
from hubbub.messages.v1 import feed_service_pb2 as rpc
from hubbub.messages.v1.feed_service_pb2_grpc import FeedServiceStub
from integrations import convert, store
from integrations.deliver import Deliverer
from integrations.metrics import ADDED, SUSPENDED
from integrations.store import Backlog

log = structlog.get_logger()
READER = "webhooks"
LEASE_SECONDS = 6.0
_EXTEND_SECONDS = 2.0
_CALL_SECONDS = 5.0
_NO_TENANT: tuple[str, ...] = ()
"""The lease belongs to no tenant."""


class Follower:
    """Follows the feed while this process has the lease."""

    def __init__(self, database: Database, feed: FeedServiceStub, deliverer: Deliverer, backlog: Backlog) -> None:
        self._database = database
        self._feed = feed
        self._deliverer = deliverer
        self._backlog = backlog
        self._holder = str(uuid.uuid4())

    async def run(self, stopping: asyncio.Event) -> None:
        """Follow until stopping."""
        while not stopping.is_set():
            try:
                if await self._lease():
                    await self._follow_under_lease(stopping)
            except HubbubError as error:
                log.warning("feed_lease_failed", reason=error.reason)
            await pause(stopping, _EXTEND_SECONDS)
        with contextlib.suppress(HubbubError):  # it ends by itself
            async with self._database.connection(_NO_TENANT) as connection:
                await store.release_feed(connection, self._holder)

    async def _lease(self) -> bool:
        async with self._database.connection(_NO_TENANT) as connection:
            return await store.lease_feed(connection, self._holder, LEASE_SECONDS)

    async def _follow_under_lease(self, stopping: asyncio.Event) -> None:
        """Follow, and extend the lease, until the lease is lost or cannot be extended, or stopping. Raises `HubbubError`."""
        following = asyncio.create_task(self._follow())
        try:
            while not stopping.is_set() and await self._lease():
                await pause(stopping, _EXTEND_SECONDS)
        finally:
            following.cancel()
            await asyncio.gather(following, return_exceptions=True)

    async def _follow(self) -> None:
        """Follow until cancelled."""
        backoff = Backoff()
        while True:
            try:
                request = rpc.StreamEventsRequest(reader=READER, start=rpc.READER_START_NOW, with_channel_kinds=True)
                async for response in self._feed.StreamEvents(request, metadata=metadata()):
                    await self._take(response)
                    backoff.succeeded()
            except grpc.aio.AioRpcError as error:
                log.warning("feed_interrupted", reason=from_call(error).reason)
            except HubbubError as error:
                log.warning("feed_interrupted", reason=error.reason)
            except Exception as error:  # the outermost handler of this loop: what was not acknowledged comes again
                DEFECTS.labels("webhooks").inc()
                log.exception("feed_interrupted", error=type(error).__name__)
            await backoff.wait()

    async def _take(self, response: rpc.StreamEventsResponse) -> None:
        """Store the deliveries of a response, and acknowledge it. Raises `HubbubError`."""
        found = [convert.event(each, response.channel_kinds[each.channel], response.epoch) for each in response.events]
        events = [event for event in found if event is not None]
        if events:
            async with self._database.transaction(sorted({event.tenant for event in events})) as connection:
                added = await store.add_events(connection, events, self._backlog)
            ADDED.inc(added.deliveries)
            SUSPENDED.inc(added.suspended)
            if added.deliveries:
                self._deliverer.wake()
        if response.cursor:
            acknowledged = rpc.AcknowledgeEventsRequest(reader=READER, cursor=response.cursor)
            await call(self._feed.AcknowledgeEvents, acknowledged, timeout=_CALL_SECONDS)

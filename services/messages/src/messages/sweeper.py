"""The safety net under publishing: what a crash, or an outage of the bus, kept from the bus is published from the database.

Also removes the rows of batches that were published, many at once, so that no batch has to. Runs in every messages process.
"""

from __future__ import annotations

import asyncio

import structlog

from bus.bus import BusError
from chassis.errors import Unavailable
from chassis.lifecycle import pause
from chassis.postgres import EVERY_TENANT, Database
from messages.metrics import REPUBLISHED, UNPUBLISHED
from messages.publisher import Publisher
from messages.store import log

events_log = structlog.get_logger()
STALE_SECONDS = 2.0
_PERIOD_SECONDS = 0.5


class Sweeper:
    """Looks for what was left behind."""

    def __init__(self, database: Database, publisher: Publisher, *, stale_seconds: float = STALE_SECONDS) -> None:
        self._database = database
        self._publisher = publisher
        self._stale_seconds = stale_seconds

    async def run(self, stopping: asyncio.Event) -> None:
        """Sweep twice a second until `stopping`, whatever is away meanwhile; then remove what this process has published."""
        while not stopping.is_set():
            try:
                await self.forget_published()
                while await self.sweep():
                    pass
            except (Unavailable, BusError) as error:
                events_log.warning("sweep_postponed", error=type(error).__name__)
            await pause(stopping, _PERIOD_SECONDS)
        try:
            await self.forget_published()
        except Unavailable:
            events_log.warning("sweep_postponed", error=Unavailable.__name__)

    async def forget_published(self) -> None:
        """Remove the rows of what this process has published. Raises `Unavailable`."""
        settled = self._publisher.take_settled()
        if not settled:
            return
        try:
            async with self._database.connection(EVERY_TENANT) as connection:
                await log.delete_unpublished(connection, settled)
        except Unavailable:
            self._publisher.settle(settled)
            raise

    async def sweep(self) -> int:
        """Publish some of what is stale; returns how many entries. Raises `Unavailable`, `BusError`.

        The rows stay locked meanwhile, so of several sweepers each takes others.
        """
        published = 0
        async with self._database.transaction(EVERY_TENANT) as connection:
            UNPUBLISHED.set(await log.count_unpublished(connection, self._stale_seconds))
            noted, ranges = await log.stale_unpublished(connection, self._stale_seconds)
            for page in log.pages(ranges):
                entries = await log.read(connection, page)
                await self._publisher.publish_entries(entries, [])
                published += len(entries)
            if noted:
                await log.delete_unpublished(connection, noted)
        if published:
            REPUBLISHED.inc(published)
            events_log.info("entries_republished", entries=published)
        return published

"""Publishes entries that a crash or an outage of the bus has kept from the bus, and deletes the outbox rows of published batches.

It also deletes old roster changes: a gateway that lacks one that is gone closes the channel's connections, which resume.

Rows are deleted here, many at a time, so that no batch has to. A sweeper runs in every messages process.
"""

from __future__ import annotations

import asyncio
import time

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
_COUNT_SECONDS = 5.0
"""Between two counts of the stale rows during a long sweep."""
ROSTER_SECONDS = 24 * 3600.0
"""Roster changes are kept for so long. Gateways read them within seconds."""
_TRIM_SECONDS = 60.0
TRIMMED = 5_000
"""Roster changes that are deleted in one statement."""


class Sweeper:
    """Sweeps the table `unpublished`."""

    def __init__(self, database: Database, publisher: Publisher, *, stale_seconds: float = STALE_SECONDS) -> None:
        self._database = database
        self._publisher = publisher
        self._stale_seconds = stale_seconds

    async def run(self, stopping: asyncio.Event) -> None:
        """Sweep twice a second until `stopping`, also after errors. Then delete the rows of what this process published."""
        trim_at = 0.0
        while not stopping.is_set():
            try:
                await self.delete_published()
                if await self.measure():
                    await self._sweep_all(stopping)
                if time.monotonic() >= trim_at and await self.trim() < TRIMMED:
                    trim_at = time.monotonic() + _TRIM_SECONDS
            except (Unavailable, BusError) as error:
                events_log.warning("sweep_postponed", error=type(error).__name__)
            await pause(stopping, _PERIOD_SECONDS)
        try:
            await self.delete_published()
        except Unavailable:
            events_log.warning("sweep_postponed", error=Unavailable.__name__)

    async def _sweep_all(self, stopping: asyncio.Event) -> None:
        """Sweep page after page. Counting takes longer than a page, so the count is renewed only now and then."""
        counted = time.monotonic()
        while not stopping.is_set() and await self.sweep():
            if time.monotonic() - counted >= _COUNT_SECONDS:
                await self.measure()
                counted = time.monotonic()

    async def delete_published(self) -> None:
        """Delete the rows of what this process has published. Raises `Unavailable`."""
        published = self._publisher.take_published()
        if not published:
            return
        try:
            async with self._database.connection(EVERY_TENANT) as connection:
                await log.delete_unpublished(connection, published)
        except Unavailable:
            self._publisher.put_back(published)
            raise

    async def trim(self) -> int:
        """Delete some of the old roster changes; returns how many. Raises `Unavailable`."""
        async with self._database.connection(EVERY_TENANT) as connection:
            return await log.delete_roster_changes(connection, ROSTER_SECONDS, TRIMMED)

    async def measure(self) -> int:
        """Record and return how many rows are stale, up to a bound that keeps the count cheap. Raises `Unavailable`."""
        async with self._database.connection(EVERY_TENANT) as connection:
            count = await log.count_unpublished(connection, self._stale_seconds)
        UNPUBLISHED.set(count)
        return count

    async def sweep(self) -> int:
        """Publish the entries of a page of stale rows; returns how many entries. Raises `Unavailable`, `BusError`.

        The rows stay locked until they are deleted, so concurrent sweepers take different ones.
        """
        published = 0
        async with self._database.transaction(EVERY_TENANT) as connection:
            stale = await log.stale_unpublished(connection, self._stale_seconds)
            for page in log.pages(stale.roster):
                changes = await log.roster_changes(connection, page)
                await self._publisher.publish_entries([], [], changes)
                published += len(changes)
            for page in log.pages(stale.entries):
                entries = await log.read(connection, page)
                await self._publisher.publish_entries(entries, [])
                published += len(entries)
            if stale.rows:
                await log.delete_unpublished(connection, stale.rows)
        if published:
            REPUBLISHED.inc(published)
            events_log.info("entries_republished", entries=published)
        return published

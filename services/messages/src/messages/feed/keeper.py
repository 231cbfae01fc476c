"""Measures the readers of other products, also those without a stream, and deletes readers that are not used any more."""

from __future__ import annotations

import asyncio
import time

import structlog

from chassis.errors import Unavailable
from chassis.lifecycle import pause
from chassis.postgres import EVERY_TENANT, Database
from messages.metrics import FEED_LAG_SECONDS, FEED_UNACKNOWLEDGED
from messages.store import feed
from messages.store.feed import ReaderState

log = structlog.get_logger()
UNUSED_DAYS = 30
_PERIOD_SECONDS = 5.0


class Keeper:
    """Runs in every feed process. All of them measure all readers."""

    def __init__(self, database: Database, topics: int) -> None:
        self._database = database
        self._topics = topics
        self._measured: set[tuple[str, str]] = set()
        """The labels in use: caller and reader."""

    async def run(self, stopping: asyncio.Event) -> None:
        """Work until `stopping`, also after errors."""
        while not stopping.is_set():
            try:
                await self.measure()
                await self.delete_unused()
            except Unavailable:
                log.warning("feed_readers_not_measured")
            await pause(stopping, _PERIOD_SECONDS)

    async def measure(self) -> None:
        """Set the gauges of every reader. Raises `Unavailable`."""
        async with self._database.connection(EVERY_TENANT) as connection:
            states = await feed.listed(connection, None, self._topics)
        now = time.time()
        found = {(each.reader.caller, each.reader.name): each for each in states}
        for gone in self._measured - found.keys():
            FEED_LAG_SECONDS.remove(*gone)
            FEED_UNACKNOWLEDGED.remove(*gone)
        for labels, state in found.items():
            FEED_LAG_SECONDS.labels(*labels).set(max(now - _has_all_since(state), 0.0))
            FEED_UNACKNOWLEDGED.labels(*labels).set(state.unacknowledged)
        self._measured = set(found)

    async def delete_unused(self, days: int = UNUSED_DAYS) -> None:
        """Delete readers that were not used for so long. Raises `Unavailable`."""
        async with self._database.connection(EVERY_TENANT) as connection:
            unused = await feed.unused(connection, days)
        for key in unused:
            await feed.delete(self._database, key)
            log.info("feed_reader_deleted", reader=key, days=days)


def _has_all_since(state: ReaderState) -> float:
    """Since when there may be events that the reader has not acknowledged, in Unix seconds."""
    sent = (state.read_to or state.created_at).timestamp()
    return min(sent, state.oldest.timestamp()) if state.oldest else sent

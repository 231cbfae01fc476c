"""Gives up uploads that were never completed, and removes uploaded bytes that wait for no verdict.

A form works for 15 minutes, also after the verdict. What it takes then has not been scanned and never will be.
"""

from __future__ import annotations

import asyncio

import structlog

from chassis.errors import Unavailable
from chassis.lifecycle import pause
from chassis.metrics import DEFECTS
from chassis.postgres import EVERY_TENANT, Database
from media import store
from media.metrics import VERDICTS
from media.objects import Objects
from media.upload import State

log = structlog.get_logger()
_SECONDS = 60.0
_EXPIRE_SECONDS = 30 * 60.0


class Sweep:
    """Sweeps once a minute; every media process does, and none waits for another."""

    def __init__(self, database: Database, objects: Objects) -> None:
        self._database = database
        self._objects = objects

    async def run(self, stopping: asyncio.Event) -> None:
        """Sweep until `stopping`."""
        while not stopping.is_set():
            try:
                await self.once()
            except Unavailable:
                log.warning("sweep_postponed")
            except Exception as error:  # the outermost handler of this task
                DEFECTS.labels("sweep").inc()
                log.exception("sweep_failed", error=type(error).__name__)
            await pause(stopping, _SECONDS)

    async def once(self) -> None:
        """Expire and remove all that is due. Raises `Unavailable`."""
        await self._expire()
        async for page in self._objects.incoming():
            async with self._database.connection(EVERY_TENANT) as connection:
                awaited = await store.awaited(connection, list(page))
            abandoned = [key for upload, key in page.items() if upload not in awaited]
            for key in abandoned:
                await self._objects.remove(key)
            if abandoned:
                log.info("uploaded_bytes_removed", objects=len(abandoned))

    async def _expire(self) -> None:
        async with self._database.connection(EVERY_TENANT) as connection:
            while await store.expire(connection, _EXPIRE_SECONDS):
                VERDICTS.labels(State.FAILED.value, "NEVER_ARRIVED").inc()

"""Removes old deliveries and invocations, and measures how long webhooks wait for a process."""

from __future__ import annotations

import asyncio
from typing import Any

import structlog

from chassis.errors import HubbubError
from chassis.lifecycle import pause
from chassis.postgres import EVERY_TENANT, Database
from integrations import queries
from integrations.metrics import OVERDUE_SECONDS

log = structlog.get_logger()
DELIVERED_DAYS = 7
DEAD_DAYS = 30
_EVERY_SECONDS = 60.0
_MEASURE_SECONDS = 5.0
_BATCH = 1_000


class Sweep:
    """The housekeeping of one process. Any number of processes may do it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def run(self, stopping: asyncio.Event) -> None:
        """Sweep and measure until stopping."""
        rounds = 0
        while not stopping.is_set():
            try:
                await self._measure()
                if rounds % int(_EVERY_SECONDS / _MEASURE_SECONDS) == 0:
                    await self.once()
            except HubbubError as error:
                log.warning("webhook_sweep_failed", reason=error.reason)
            rounds += 1
            await pause(stopping, _MEASURE_SECONDS)

    async def once(self) -> None:
        """Remove everything that is too old."""
        async with self._database.connection(EVERY_TENANT) as connection:
            while True:
                found = await connection.execute(queries.SWEEP_DELIVERED, {"days": DELIVERED_DAYS, "limit": _BATCH})
                if found.rowcount < _BATCH:
                    break
            await connection.execute(queries.SWEEP_INVOCATIONS)
            old = await connection.execute(queries.OLD_DEAD, {"days": DEAD_DAYS, "limit": _BATCH})
            rows: list[Any] = await old.fetchall()
        for tenant, webhook in rows:
            async with self._database.transaction([tenant]) as connection:
                await connection.execute(queries.LOCK, {"tenant": tenant, "webhook": webhook})
                await connection.execute(queries.SWEEP_DEAD, {"webhook": webhook, "days": DEAD_DAYS})

    async def _measure(self) -> None:
        async with self._database.connection(EVERY_TENANT) as connection:
            row: Any = await (await connection.execute(queries.COUNT_DUE)).fetchone()
        OVERDUE_SECONDS.set(row[0])

"""Applies a service's schema migrations: numbered SQL files, each once, in order, forward only.

Migrations run while the previous release is still active: a release may add what it needs, and the next one may remove what is
no longer used. A file is one transaction. A file that would hold locks for long in one transaction consists of steps instead
(`migration_steps`).

No statement waits more than `_LOCK_SECONDS` for a lock, since everything else queues behind it; it is tried again with growing
waits. A file or step that was interrupted is run again, also after the process was killed. One runner works at a time.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from importlib import resources
from typing import Any, TypeVar

import psycopg
import structlog
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_after_delay, wait_random_exponential

from chassis.migration_steps import Kind, Step, steps

log = structlog.get_logger()
_LOCK = 0x6875_6262_7562  # any number that is locked by nothing else in this database
_TURN_SECONDS = 0.2
"""Between two attempts to become the runner."""
_LOCK_SECONDS = 2
_LONGEST_WAIT_SECONDS = 30.0
"""Between two attempts to get a lock."""
_PATIENCE_SECONDS = 600.0
"""How long a file or step is tried again while its locks are not granted."""
_SESSION = "-c statement_timeout=300s -c hubbub.tenants={*}"
_LEDGER = """
CREATE TABLE IF NOT EXISTS migrations (
    name text PRIMARY KEY, digest text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now()
)
"""
# Steps of the file that is under way. Blocks before `position` are done, and all of a step without one.
_STEPS = """
CREATE TABLE IF NOT EXISTS migration_steps (
    name text NOT NULL, step int NOT NULL, digest text NOT NULL, position bigint, PRIMARY KEY (name, step)
);
DO $$ BEGIN
    IF to_regrole('hubbub_service') IS NOT NULL THEN
        REVOKE ALL ON migration_steps FROM hubbub_service;
    END IF;
END $$
"""
_STEP_DONE = """
INSERT INTO migration_steps (name, step, digest, position) VALUES (%s, %s, %s, %s)
ON CONFLICT (name, step) DO UPDATE SET position = excluded.position
"""
_BLOCKS_OF = "SELECT pg_relation_size(%s::text::regclass) / current_setting('block_size')::int"
_BLOCKS = 64
"""Blocks of a table in one transaction: 512 KiB."""
_REPORT_SECONDS = 5
_MAY_SEE_ALL = """
SELECT to_regrole('hubbub_every_tenant') IS NULL OR pg_has_role(to_regrole('hubbub_every_tenant'), 'MEMBER')
"""
_INVALID = "SELECT EXISTS (SELECT FROM pg_index WHERE indexrelid = to_regclass(%s) AND NOT indisvalid)"

Connection = psycopg.AsyncConnection[Any]
ResultT = TypeVar("ResultT")


class ChangedMigrationError(Exception):
    """A file differs from the one applied under its name. Applied files must not be edited; add a new one."""


class BlindMigrationError(Exception):
    """The role is not a member of `hubbub_every_tenant`, so a step that changes rows would find none and seem to be done."""


@dataclass(frozen=True)
class Migration:
    """One migration file. Raises `StepError` for steps that cannot be read."""

    name: str
    sql: str

    @cached_property
    def digest(self) -> str:
        """The hash that the ledger stores."""
        return hashlib.sha256(self.sql.encode()).hexdigest()

    @cached_property
    def steps(self) -> Sequence[Step]:
        """The steps of the file; empty for a file that is one transaction."""
        return steps(self.sql)


def migrations(package: str) -> list[Migration]:
    """The files in the `migrations` folder of `package`, in order."""
    files = [file for file in resources.files(package).joinpath("migrations").iterdir() if file.name.endswith(".sql")]
    return [Migration(file.name, file.read_text("utf-8")) for file in sorted(files, key=lambda file: file.name)]


async def migrate(database_url: str, files: Sequence[Migration]) -> list[str]:
    """Apply missing files; returns their names.

    Raises `ChangedMigrationError`, `BlindMigrationError`, and `psycopg.Error` when a file fails or its locks are not granted for
    ten minutes. Then a file that is one transaction has no effect, and of a file with steps the finished ones stay.
    """
    connection = await psycopg.AsyncConnection.connect(database_url, autocommit=True, connect_timeout=10, options=_SESSION)
    async with connection:
        await _wait_for_turn(connection)
        await connection.execute(_LEDGER)
        rows = await (await connection.execute("SELECT name, digest FROM migrations")).fetchall()
        applied: dict[str, str] = dict(rows)
        for file in files:
            if applied.get(file.name, file.digest) != file.digest:
                raise ChangedMigrationError(file.name)
        missing = [file for file in files if file.name not in applied]
        for file in missing:
            if file.steps:
                await _run_steps(connection, file)
            else:
                await _persistently(connection, partial(_run_whole, connection, file))
            log.info("migration_applied", name=file.name)
        return [file.name for file in missing]


async def _wait_for_turn(connection: Connection) -> None:
    """Become the only runner.

    By polling: a session that waits in `pg_advisory_lock` holds a snapshot, and the runner's CREATE INDEX CONCURRENTLY would wait
    for that session.
    """
    while True:
        if await (await connection.execute("SELECT pg_try_advisory_lock(%s)", [_LOCK])).fetchone() == (True,):
            return
        await asyncio.sleep(_TURN_SECONDS)


async def _persistently(
    connection: Connection, action: Callable[[], Awaitable[ResultT]], *, lock_seconds: int = _LOCK_SECONDS
) -> ResultT:
    """Do it, and again while a lock is not granted within `lock_seconds` (0: without a limit)."""
    await connection.execute(f"SET lock_timeout = '{lock_seconds}s'".encode())
    attempts = AsyncRetrying(
        retry=retry_if_exception_type((psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected)),
        wait=wait_random_exponential(multiplier=1, max=_LONGEST_WAIT_SECONDS),
        stop=stop_after_delay(_PATIENCE_SECONDS),
        before_sleep=_log_refusal,
        reraise=True,
    )
    return await attempts(action)


def _log_refusal(state: RetryCallState) -> None:
    log.warning("migration_lock_not_granted", attempt=state.attempt_number, wait_seconds=round(state.upcoming_sleep, 1))


async def _run_whole(connection: Connection, file: Migration) -> None:
    async with connection.transaction():
        await connection.execute(file.sql.encode())
        await _record(connection, file)


async def _record(connection: Connection, file: Migration) -> None:
    await connection.execute("INSERT INTO migrations (name, digest) VALUES (%s, %s)", [file.name, file.digest])


async def _run_steps(connection: Connection, file: Migration) -> None:
    if any(step.kind is Kind.BLOCKS for step in file.steps):
        row = await (await connection.execute(_MAY_SEE_ALL)).fetchone()
        if row != (True,):
            raise BlindMigrationError(file.name)
    await connection.execute(_STEPS)
    query = "SELECT step, digest, position FROM migration_steps WHERE name = %s"
    begun = {number: rest for number, *rest in await (await connection.execute(query, [file.name])).fetchall()}
    for number, step in enumerate(file.steps, start=1):
        digest, position = begun.get(number, (step.digest, 0))
        if digest != step.digest:
            raise ChangedMigrationError(f"{file.name}, step {number}")
        if position is None:
            continue
        started = time.monotonic()
        rows = await _StepRun(connection, file, step, number).run(position)
        log.info(
            "migration_step_done",
            name=file.name, step=number, of=len(file.steps), rows=rows, seconds=round(time.monotonic() - started, 1),
        )  # fmt: skip
    async with connection.transaction():
        await _record(connection, file)
        await connection.execute("DELETE FROM migration_steps WHERE name = %s", [file.name])


@dataclass(frozen=True, slots=True)
class _StepRun:
    """One run of a step."""

    connection: Connection
    file: Migration
    step: Step
    number: int

    async def run(self, position: int) -> int:
        """Run the step to its end, blocks from `position` on; returns how many rows it changed."""
        match self.step.kind:
            case Kind.ONCE:
                return await _persistently(self.connection, self._once)
            case Kind.CONCURRENTLY:
                return await _persistently(self.connection, self._concurrently, lock_seconds=0)
            case Kind.BLOCKS:
                return await self._through_blocks(position)

    async def _once(self) -> int:
        async with self.connection.transaction():
            rows = (await self.connection.execute(self.step.sql.encode())).rowcount
            await self._done()
        return max(0, rows)

    async def _concurrently(self) -> int:
        """Its locks block no reader and no writer, so it waits for them without a limit.

        An interrupted run leaves an invalid index, which is removed first.
        """
        index = self.step.index
        if index and await (await self.connection.execute(_INVALID, [index])).fetchone() == (True,):
            await self.connection.execute(f"DROP INDEX CONCURRENTLY {index}".encode())
        await self.connection.execute("SET statement_timeout = 0")
        try:
            await self.connection.execute(self.step.sql.encode())
        finally:
            await self.connection.execute("RESET statement_timeout")
        await self._done()
        return 0

    async def _through_blocks(self, position: int) -> int:
        """After each batch the runner rests as long as the batch took, which leaves room for the service."""
        (blocks,) = await (await self.connection.execute(_BLOCKS_OF, [self.step.table])).fetchone() or (0,)
        rows, reported = 0, time.monotonic()
        while position < blocks:
            started = time.monotonic()
            rows += await _persistently(self.connection, partial(self._batch, position))
            position += _BLOCKS
            if time.monotonic() - reported > _REPORT_SECONDS:
                reported = time.monotonic()
                share = round(min(1.0, position / blocks), 3)
                log.info("migration_step_under_way", name=self.file.name, step=self.number, rows=rows, share=share)
            await asyncio.sleep(time.monotonic() - started)
        await self._done()
        return rows

    async def _batch(self, position: int) -> int:
        async with self.connection.transaction():
            rows = (await self.connection.execute(self.step.of_blocks(position, position + _BLOCKS).encode())).rowcount
            await self._done(position + _BLOCKS)
        return rows

    async def _done(self, position: int | None = None) -> None:
        await self.connection.execute(_STEP_DONE, [self.file.name, self.number, self.step.digest, position])

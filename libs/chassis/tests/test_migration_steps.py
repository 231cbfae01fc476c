"""Migrations in steps: outside a transaction, in batches, with short waits for locks, resumed after an interruption."""

from __future__ import annotations

import asyncio
import contextlib
import multiprocessing
import os
import signal
import time
from collections.abc import AsyncIterator

import psycopg
import pytest
from structlog.testing import capture_logs

from chassis.migrate import BlindMigrationError, ChangedMigrationError, Migration, migrate
from chassis.migration_steps import Kind, StepError, steps
from stack.postgres import Postgres

ROWS = 30_000
"""Some 130 blocks, so three batches."""
FIRST = Migration(
    "0001_first.sql",
    f"""
CREATE TABLE numbers (n int PRIMARY KEY, written timestamptz NOT NULL DEFAULT clock_timestamp());
INSERT INTO numbers SELECT generate_series(1, {ROWS});
""",
)
SECOND = Migration(
    "0002_doubled.sql",
    """-- hubbub: steps
-- step
ALTER TABLE numbers ADD COLUMN doubled int;
CREATE FUNCTION fill_doubled() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.doubled := NEW.n * 2; RETURN NEW; END';
CREATE TRIGGER doubled BEFORE INSERT OR UPDATE ON numbers FOR EACH ROW EXECUTE FUNCTION fill_doubled();
-- step: blocks numbers
UPDATE numbers SET doubled = n * 2 WHERE {blocks} AND doubled IS NULL;
-- step: concurrently
CREATE INDEX CONCURRENTLY numbers_doubled ON numbers (doubled);
-- step
ALTER TABLE numbers ADD CONSTRAINT doubled CHECK (doubled IS NULL OR doubled = n * 2) NOT VALID;
-- step
ALTER TABLE numbers VALIDATE CONSTRAINT doubled;
""",
)
_STATE = """
SELECT count(*) FILTER (WHERE doubled IS DISTINCT FROM n * 2),
  (SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('numbers_doubled')),
  (SELECT convalidated FROM pg_constraint WHERE conname = 'doubled'),
  (SELECT count(*) FROM migrations), (SELECT count(*) FROM migration_steps) FROM numbers WHERE n <= 30000
"""
DONE = (0, True, True, 2, 0)


@contextlib.asynccontextmanager
async def session(url: str) -> AsyncIterator[psycopg.AsyncConnection]:
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        yield connection


async def state(url: str) -> tuple[object, ...] | None:
    async with session(url) as connection:
        return await (await connection.execute(_STATE)).fetchone()


async def test_steps_run_in_order_and_once(database: str) -> None:
    with capture_logs() as lines:
        assert await migrate(database, [FIRST, SECOND]) == [FIRST.name, SECOND.name]
    assert await state(database) == DONE
    done = [(line["step"], line["of"], line["rows"]) for line in lines if line["event"] == "migration_step_done"]
    assert done == [(1, 5, 0), (2, 5, ROWS), (3, 5, 0), (4, 5, 0), (5, 5, 0)]
    assert await migrate(database, [FIRST, SECOND]) == []


async def test_a_failed_step_keeps_the_ones_before_it_and_the_next_run_continues(database: str) -> None:
    broken = Migration(SECOND.name, SECOND.sql + "-- step\nSELECT 1 / 0;\n")
    with pytest.raises(psycopg.errors.DivisionByZero):
        await migrate(database, [FIRST, broken])
    repaired = Migration(SECOND.name, SECOND.sql + "-- step\nSELECT 1;\n")
    with capture_logs() as lines:
        await migrate(database, [FIRST, repaired])
    assert [line["step"] for line in lines if line["event"] == "migration_step_done"] == [6]
    assert await state(database) == DONE


async def test_a_step_that_was_done_must_not_change(database: str) -> None:
    broken = Migration(SECOND.name, SECOND.sql + "-- step\nSELECT 1 / 0;\n")
    with pytest.raises(psycopg.errors.DivisionByZero):
        await migrate(database, [FIRST, broken])
    with pytest.raises(ChangedMigrationError):
        await migrate(database, [FIRST, Migration(SECOND.name, SECOND.sql.replace("n * 2 WHERE", "n + n WHERE"))])


async def test_an_index_that_an_interrupted_run_left_invalid_is_made_again(database: str) -> None:
    await migrate(database, [FIRST])
    async with session(database) as connection:
        await connection.execute("ALTER TABLE numbers ADD COLUMN doubled int")
        await connection.execute("UPDATE numbers SET doubled = 1")
        with pytest.raises(psycopg.errors.UniqueViolation):
            await connection.execute("CREATE UNIQUE INDEX CONCURRENTLY numbers_doubled ON numbers (doubled)")
        await connection.execute("ALTER TABLE numbers RENAME COLUMN doubled TO old")
    await migrate(database, [FIRST, SECOND])
    assert await state(database) == DONE


def _migrate_in_a_process(url: str) -> None:
    asyncio.run(migrate(url, [FIRST, SECOND]))


async def test_a_killed_runner_is_continued_by_the_next(database: str) -> None:
    await migrate(database, [FIRST])
    for filled in (1, ROWS // 2):
        runner = multiprocessing.get_context("spawn").Process(target=_migrate_in_a_process, args=(database,))
        runner.start()
        async with session(database) as connection, asyncio.timeout(60):
            while True:
                with contextlib.suppress(psycopg.errors.UndefinedColumn):
                    query = "SELECT count(*) >= %s FROM numbers WHERE doubled IS NOT NULL"
                    if await (await connection.execute(query, [filled])).fetchone() == (True,):
                        break
        assert runner.pid is not None
        os.kill(runner.pid, signal.SIGKILL)
        await asyncio.to_thread(runner.join)
    await migrate(database, [FIRST, SECOND])
    assert await state(database) == DONE


async def test_concurrent_runners_take_turns_and_do_not_wait_for_each_others_snapshots(database: str) -> None:
    done = await asyncio.gather(*(migrate(database, [FIRST, SECOND]) for _ in range(3)))
    assert sorted(name for names in done for name in names) == [FIRST.name, SECOND.name]
    assert await state(database) == DONE


async def test_a_lock_that_is_not_granted_within_two_seconds_is_asked_for_again_later(database: str) -> None:
    await migrate(database, [FIRST])
    async with session(database) as reader, session(database) as writer:
        async with reader.transaction():
            await reader.execute("SELECT count(*) FROM numbers")
            with capture_logs() as lines:
                run = asyncio.create_task(migrate(database, [FIRST, SECOND]))
                async with asyncio.timeout(20):
                    while not any(line["event"] == "migration_lock_not_granted" for line in lines):
                        started = time.monotonic()
                        await writer.execute("INSERT INTO numbers SELECT max(n) + 1 FROM numbers")
                        assert time.monotonic() - started < 5
        await run
    assert await state(database) == DONE


async def test_writers_see_no_error_and_no_wait_beyond_the_lock_timeout_while_steps_run(database: str) -> None:
    await migrate(database, [FIRST])
    longest, running = 0.0, True

    async def write(first: int) -> int:
        nonlocal longest
        written = 0
        async with session(database) as connection:
            while running:
                started = time.monotonic()
                await connection.execute("INSERT INTO numbers (n) VALUES (%s)", [first + written])
                await connection.execute("UPDATE numbers SET written = clock_timestamp() WHERE n = %s", [1 + written % ROWS])
                longest = max(longest, time.monotonic() - started)
                written += 1
        return written

    writers = [asyncio.create_task(write(n * 1_000_000)) for n in range(1, 5)]
    await migrate(database, [FIRST, SECOND])
    running = False
    assert all(count > 0 for count in await asyncio.gather(*writers))
    assert longest < 2 * 2 + 1
    assert await state(database) == DONE


async def test_a_role_that_would_find_no_rows_is_refused(postgres_server: Postgres) -> None:
    owner = await postgres_server.ensure_database("test_blind")
    with pytest.raises(BlindMigrationError):
        await migrate(owner, [FIRST, SECOND])
    await postgres_server.drop_database("test_blind")


def test_a_file_without_the_header_is_one_transaction() -> None:
    assert steps(FIRST.sql) == []
    assert [step.kind for step in SECOND.steps] == [Kind.ONCE, Kind.BLOCKS, Kind.CONCURRENTLY, Kind.ONCE, Kind.ONCE]
    assert [step.index for step in SECOND.steps] == ["", "", "numbers_doubled", "", ""]


@pytest.mark.parametrize(
    "sql",
    [
        "-- hubbub: steps\n",
        "-- hubbub: steps\nSELECT 1;\n-- step\nSELECT 2;",
        "-- hubbub: steps\n-- step\n",
        "-- hubbub: steps\n-- step: twice\nSELECT 1;",
        "-- hubbub: steps\n-- step: blocks\nUPDATE a SET b = 1 WHERE {blocks};",
        "-- hubbub: steps\n-- step: blocks a\nUPDATE a SET b = 1;",
        "-- hubbub: steps\n-- step\nUPDATE a SET b = 1 WHERE {blocks};",
        "-- hubbub: steps\n-- step: blocks a\nUPDATE a SET b = 1 WHERE {blocks}; SELECT 2;",
        "-- hubbub: steps\n-- step: concurrently\nSELECT 1;",
        "-- hubbub: steps\n-- step: concurrently\nCREATE INDEX CONCURRENTLY IF NOT EXISTS a ON b (c);",
        "SELECT 1;\n-- hubbub: steps\n-- step\nSELECT 1;",
        "SELECT 1;\n-- step\nSELECT 2;",
    ],
)
def test_steps_that_cannot_be_read_are_refused(sql: str) -> None:
    with pytest.raises(StepError):
        steps(sql)

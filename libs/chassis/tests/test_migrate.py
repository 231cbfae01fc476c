"""Migrations."""

from __future__ import annotations

import asyncio

import psycopg
import pytest

from chassis.migrate import ChangedMigrationError, Migration, migrate, migrations

FIRST = Migration("0001_first.sql", "CREATE TABLE first (n int); INSERT INTO first VALUES (1);")
SECOND = Migration("0002_second.sql", "ALTER TABLE first ADD COLUMN m int DEFAULT 2;")


async def _rows(url: str) -> list[tuple[object, ...]]:
    async with await psycopg.AsyncConnection.connect(url) as connection:
        return await (await connection.execute("SELECT * FROM first")).fetchall()


async def test_each_file_is_applied_once_in_order(database: str) -> None:
    assert await migrate(database, [FIRST]) == ["0001_first.sql"]
    assert await migrate(database, [FIRST, SECOND]) == ["0002_second.sql"]
    assert await migrate(database, [FIRST, SECOND]) == []
    assert await _rows(database) == [(1, 2)]


async def test_concurrent_runs_apply_each_file_once(database: str) -> None:
    done = await asyncio.gather(*(migrate(database, [FIRST, SECOND]) for _ in range(4)))
    assert sorted(name for names in done for name in names) == ["0001_first.sql", "0002_second.sql"]
    assert await _rows(database) == [(1, 2)]


async def test_a_failing_file_has_no_effect_and_keeps_earlier_ones(database: str) -> None:
    broken = Migration("0002_broken.sql", "INSERT INTO first VALUES (9); SELECT 1 / 0;")
    with pytest.raises(psycopg.errors.DivisionByZero):
        await migrate(database, [FIRST, broken])
    assert await _rows(database) == [(1,)]
    assert await migrate(database, [FIRST, SECOND]) == ["0002_second.sql"]


async def test_an_applied_file_must_not_change(database: str) -> None:
    await migrate(database, [FIRST])
    with pytest.raises(ChangedMigrationError):
        await migrate(database, [Migration(FIRST.name, FIRST.sql + " ")])


@pytest.mark.parametrize("service", ["messages", "media"])
def test_a_services_files_are_found_in_order(service: str) -> None:
    names = [migration.name for migration in migrations(service)]
    assert names
    assert names == sorted(names)

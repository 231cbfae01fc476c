"""A database on which a process cannot work is told by its cause, over a connection of the check's own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import psycopg
import pytest

from chassis.database_check import DatabaseCheck, open_database_check
from chassis.database_role import RoleCheck
from chassis.lifecycle import Unusable
from chassis.migrate import Migration, migrate
from chassis.postgres import open_database
from stack.postgres import Postgres

BOUND, ANY = (RoleCheck(production=production, every_tenant=True) for production in (True, False))
SCHEMA = [Migration("0001_one.sql", "CREATE TABLE one ()"), Migration("0002_two.sql", "CREATE TABLE two ()")]


@pytest.fixture
async def admin(database: str) -> AsyncIterator[psycopg.AsyncConnection]:
    async with await psycopg.AsyncConnection.connect(database, autocommit=True) as connection:
        yield connection


@pytest.fixture
async def check(database: str) -> AsyncIterator[DatabaseCheck]:
    async with open_database_check(database, name="tests", schema=SCHEMA, role=ANY) as check:
        yield check


async def _cause(check: DatabaseCheck) -> str:
    with pytest.raises(Unusable) as caught:
        await check()
    return str(caught.value)


async def test_the_applied_migrations_are_compared_with_those_of_the_release(check: DatabaseCheck, database: str) -> None:
    assert await _cause(check) == "it has no schema: run the migrations"
    await migrate(database, SCHEMA[:1])
    assert await _cause(check) == "its schema is at 0001_one.sql, this release needs 0002_two.sql: run the migrations"
    await migrate(database, SCHEMA)
    await check()


async def test_a_newer_schema_is_accepted(check: DatabaseCheck, database: str) -> None:
    await migrate(database, [*SCHEMA, Migration("0003_three.sql", "CREATE TABLE three ()")])
    await check()


async def test_a_schema_of_another_build_is_told(check: DatabaseCheck, database: str) -> None:
    await migrate(database, [Migration("0001_one.sql", "CREATE TABLE other ()"), SCHEMA[1]])
    assert "another version of 0001_one.sql" in await _cause(check)


async def test_a_migration_that_comes_during_the_check_is_seen_over_the_same_connection(
    check: DatabaseCheck, database: str, admin: psycopg.AsyncConnection
) -> None:
    await migrate(database, SCHEMA)
    await check()
    await admin.execute("DELETE FROM migrations WHERE name = '0002_two.sql'")
    assert "needs 0002_two.sql" in await _cause(check)


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        (lambda url: url.replace("test:", "test:wrong"), "it refuses the user or the password"),
        (lambda url: url.replace("//test:", "//nobody-of-this-name:"), "it refuses the user or the password"),
        (lambda url: f"{url}-missing", "the database or the role does not exist"),
        (lambda url: url.replace("127.0.0.1", "no-such-host.invalid"), "its host name cannot be resolved"),
        (lambda url: "postgresql://test:x@127.0.0.1:1/nothing", "nothing listens at its address"),  # noqa: ARG005
    ],
)
async def test_a_connection_that_fails_tells_why(database: str, change: object, cause: str) -> None:
    assert callable(change)
    async with open_database_check(change(database), name="tests", schema=SCHEMA, role=ANY) as check:
        assert await _cause(check) == cause
        assert await _cause(check) == cause


async def test_a_role_that_may_not_connect_more_often_is_told_when_the_check_connects_anew(
    check: DatabaseCheck, database: str, admin: psycopg.AsyncConnection
) -> None:
    await migrate(database, SCHEMA)
    await check()
    name = database.rpartition("/")[2]
    await admin.execute(f'ALTER DATABASE "{name}" CONNECTION LIMIT 1'.encode())
    await check()
    await check.disconnect()
    assert "no connection left" in await _cause(check)
    await admin.execute(f'ALTER DATABASE "{name}" CONNECTION LIMIT -1'.encode())
    await check()


async def test_a_server_that_accepts_no_writes_is_told(database: str, admin: psycopg.AsyncConnection) -> None:
    await migrate(database, SCHEMA)
    name = database.rpartition("/")[2]
    await admin.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on'.encode())
    async with open_database_check(database, name="tests", schema=SCHEMA, role=ANY) as check:
        assert "read-only" in await _cause(check)


async def test_a_role_with_more_rights_than_its_work_needs_is_refused_in_production(
    postgres_server: Postgres, database: str
) -> None:
    await migrate(database, SCHEMA)
    superuser = postgres_server.url(database.rpartition("/")[2], "postgres")
    for url, excess in ((database, "owns the database"), (superuser, "is a superuser")):
        async with open_database_check(url, name="tests", schema=SCHEMA, role=BOUND) as check:
            for _ in range(2):
                assert f"its role {excess}" in await _cause(check)
        async with open_database_check(url, name="tests", schema=SCHEMA, role=ANY) as check:
            await check()


async def test_a_pool_without_a_free_connection_does_not_fail_the_check(check: DatabaseCheck, database: str) -> None:
    await migrate(database, SCHEMA)
    async with open_database(database, connections=2, name="tests") as opened, AsyncExitStack() as stack:
        for _ in range(2):
            await stack.enter_async_context(opened.connection(["t"]))
        await check()


async def test_a_locked_table_does_not_fail_the_check(
    check: DatabaseCheck, database: str, admin: psycopg.AsyncConnection
) -> None:
    await migrate(database, SCHEMA)
    async with admin.transaction():
        await admin.execute("LOCK TABLE one IN ACCESS EXCLUSIVE MODE")
        await check()

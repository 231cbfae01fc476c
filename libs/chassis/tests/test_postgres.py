"""Connections and errors of a service's database."""

from __future__ import annotations

from collections.abc import AsyncIterator

import psycopg
import pytest
from structlog.testing import capture_logs

from chassis.errors import Unavailable
from chassis.postgres import EVERY_TENANT, Database, is_transient, open_database
from stack.postgres import Postgres


@pytest.fixture
async def opened(database: str) -> AsyncIterator[Database]:
    async with open_database(database, connections=2, name="tests") as opened:
        yield opened


async def test_a_lock_timeout_is_unavailable(opened: Database) -> None:
    async with opened.connection(EVERY_TENANT) as connection:
        await connection.execute("CREATE TABLE things (n int)")
    async with opened.transaction(EVERY_TENANT) as holder:
        await holder.execute("LOCK TABLE things")
        with pytest.raises(Unavailable):  # noqa: PT012 - as above
            async with opened.transaction(EVERY_TENANT) as waiter:
                await waiter.execute("SET LOCAL lock_timeout = '10ms'")
                await waiter.execute("SELECT FROM things")


async def test_a_statement_for_another_schema_is_unavailable_and_its_class_is_logged(opened: Database) -> None:
    for statement in ("SELECT missing", "SELECT FROM missing", "SELECT missing()", "SELECT FROM pg_authid"):
        with capture_logs() as lines, pytest.raises(Unavailable):
            async with opened.connection(EVERY_TENANT) as connection:
                await connection.execute(statement.encode())
        assert [(line["event"], line["sqlstate"][:2]) for line in lines] == [("statement_refused", "42")]


async def test_an_unreachable_server_is_unavailable(unused_tcp_port: int) -> None:
    url = f"postgresql://user:x@127.0.0.1:{unused_tcp_port}/nothing"
    async with open_database(url, connections=1, name="tests") as away:
        with pytest.raises(Unavailable):
            await away.ping()


async def test_a_connection_that_the_server_closed_while_idle_is_not_used(opened: Database, database: str) -> None:
    await opened.ping()
    async with await psycopg.AsyncConnection.connect(database, autocommit=True) as admin:
        await admin.execute(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        await opened.ping()


async def test_a_role_that_bypasses_row_level_security_is_logged(postgres_server: Postgres, database: str) -> None:
    unbound = postgres_server.url(database.rpartition("/")[2], "postgres")
    for url, expected in ((database, []), (unbound, ["row_security_bypassed"])):
        with capture_logs() as lines:
            async with open_database(url, connections=1, name="tests") as opened:
                await opened.ping()
        assert [line["event"] for line in lines] == expected


@pytest.mark.parametrize(
    ("error", "transient"),
    [
        (psycopg.OperationalError("connection lost"), True),
        (psycopg.errors.AdminShutdown(), True),
        (psycopg.errors.DiskFull(), True),
        (psycopg.errors.ReadOnlySqlTransaction(), True),
        (psycopg.errors.DeadlockDetected(), True),
        (psycopg.errors.LockNotAvailable(), True),
        (psycopg.errors.QueryCanceled(), True),
        (psycopg.errors.UniqueViolation(), False),
        (psycopg.errors.UntranslatableCharacter(), False),
        (psycopg.errors.UndefinedColumn(), False),
        (psycopg.errors.InternalError_(), False),
        (psycopg.ProgrammingError("no result"), False),
    ],
)
def test_transient_errors_are_told_from_errors_of_the_statement(error: psycopg.Error, transient: bool) -> None:
    assert is_transient(error) is transient

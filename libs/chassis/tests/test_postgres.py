"""Connections and errors of a service's database."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable

import psycopg
import pytest
from structlog.testing import capture_logs

from chassis import postgres
from chassis.config import ConfigError
from chassis.errors import InvalidArgument, RateLimited, TooLarge, Unavailable
from chassis.pipeline import Statement
from chassis.postgres import EVERY_TENANT, Database, is_transient, open_database
from stack.postgres import EVERY_TENANT as SWEEPERS
from stack.postgres import SERVICE, Postgres


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


EXCESS = [
    ("ALTER ROLE {role} SUPERUSER", "is a superuser"),
    ("ALTER ROLE {role} BYPASSRLS", "bypasses row-level security"),
    ("ALTER ROLE {role} CREATEROLE", "may create roles"),
    ("ALTER DATABASE {database} OWNER TO {role}", "owns the database"),
    ("ALTER TABLE things OWNER TO {role}", "owns tables"),
    ("GRANT CREATE ON SCHEMA public TO {role}", "may create tables"),
    ("GRANT CREATE ON SCHEMA public TO PUBLIC", "may create tables"),
    ("GRANT TRUNCATE ON things TO {role}", "may truncate"),
    ("GRANT pg_execute_server_program TO {role}", "belongs to a predefined role"),
    ("GRANT hubbub_every_tenant TO {role}", "may work on every tenant"),
    ("GRANT postgres TO {role} WITH INHERIT FALSE", "is a superuser"),
    ("GRANT test TO {role} WITH INHERIT FALSE", "owns the database"),
]


Role = tuple[str, Callable[[str], Awaitable[None]]]


@pytest.fixture
async def role(postgres_server: Postgres, database: str) -> AsyncIterator[Role]:
    """Return the URL of a service's role, and a function that grants it more."""
    name = database.rpartition("/")[2]
    role = f"role_{uuid.uuid4().hex}"
    url = await postgres_server.ensure_login(name, role, SERVICE)
    async with await psycopg.AsyncConnection.connect(postgres_server.url(name, "postgres"), autocommit=True) as admin:
        await admin.execute("CREATE TABLE things (n int)")

        async def grant(statement: str) -> None:
            await admin.execute(statement.format(role=role, database=name).encode())

        yield url, grant
        await admin.execute(f"REASSIGN OWNED BY {role} TO postgres".encode())
        await admin.execute(f"DROP OWNED BY {role}".encode())
        await admin.execute(f"DROP ROLE {role}".encode())


@pytest.mark.parametrize(("statement", "told"), EXCESS)
async def test_production_refuses_a_role_that_may_do_more_than_its_work(role: Role, statement: str, told: str) -> None:
    url, grant = role
    async with open_database(url, connections=1, name="tests", production=True) as fit:
        await fit.ping()
    await grant(statement)
    with pytest.raises(ConfigError, match=told) as caught:
        async with open_database(url, sweeper_url=url, connections=1, name="tests", production=True):
            pass
    assert len(caught.value.problems) == 1
    assert "\n" not in caught.value.problems[0]
    async with open_database(url, connections=1, name="tests") as local:
        await local.ping()


async def test_a_role_that_is_given_more_while_the_service_runs_makes_it_unready(role: Role) -> None:
    url, grant = role
    async with open_database(url, connections=1, pipelines=1, name="tests", production=True) as opened:
        await opened.ping()
        await grant("ALTER ROLE {role} BYPASSRLS")
        await grant("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE usename = '{role}'")
        with capture_logs() as lines, pytest.raises(Unavailable):
            await opened.ping()
        assert {line["excess"] for line in lines if line["event"] == "database_role_refused"} == {"bypasses row-level security"}
        with pytest.raises(Unavailable):
            await opened.pipeline([], [Statement("SELECT 1").query({})])
        await grant("ALTER ROLE {role} NOBYPASSRLS")
        await opened.ping()


async def test_a_sweeper_in_production_may_work_on_every_tenant(role: Role, postgres_server: Postgres, database: str) -> None:
    url, _ = role
    sweeper = await postgres_server.ensure_login(database.rpartition("/")[2], "sweeper", SWEEPERS)
    async with open_database(url, sweeper_url=sweeper, connections=1, name="tests", production=True) as opened:
        for tenants, user in ((EVERY_TENANT, "sweeper"), (["t"], url.split("/")[2].split(":")[0])):
            async with opened.connection(tenants) as connection:
                assert await (await connection.execute("SELECT current_user::text")).fetchone() == (user,)


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


async def test_a_tenant_holds_half_of_a_pool_and_leaves_the_rest_to_others(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_database(database, connections=4, walks=2, name="tests") as opened, contextlib.AsyncExitStack() as held:
        for _ in range(2):
            await held.enter_async_context(opened.connection(["acme"]))
        await held.enter_async_context(opened.walking("acme"))
        monkeypatch.setattr(opened._shares, "_seconds", 0.1)  # noqa: SLF001 - two seconds otherwise
        for taken in (opened.connection(["acme"]), opened.transaction(["acme"])):
            with pytest.raises(RateLimited):
                await held.enter_async_context(taken)
        monkeypatch.setattr(opened._walk_shares, "_seconds", 0.1)  # noqa: SLF001 - a second otherwise
        with pytest.raises(RateLimited):
            await held.enter_async_context(opened.walking("acme"))
        await held.enter_async_context(opened.connection(["beta"]))
        await held.enter_async_context(opened.walking("beta"))
        await held.enter_async_context(opened.connection(EVERY_TENANT))


async def test_a_walk_that_takes_too_long_asks_for_too_much(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "WALK_SECONDS", 0.2)
    async with open_database(database, connections=2, walks=2, name="tests") as opened:
        with pytest.raises(TooLarge):
            async with opened.walking("acme") as connection:
                await connection.execute("SELECT pg_sleep(20)")
        async with opened.walking("acme") as connection:
            await connection.execute("SELECT 1")


_SCOPE = Statement("SELECT current_setting('hubbub.tenants'), %(n)s::int")
_SLEEP = Statement("SELECT pg_sleep(%(seconds)s)")


async def test_reads_travel_together_within_the_tenants_scope(opened: Database) -> None:
    for tenants in (["a"], ["a", "b"], ["a"]):
        rows = await opened.reading(tenants, [_SCOPE.query({"n": 1}), _SCOPE.query({"n": 2})])
        scope = "{" + ",".join(tenants) + "}"
        assert rows == [[(scope, 1)], [(scope, 2)]]


async def test_a_value_that_a_read_cannot_take_is_invalid(opened: Database) -> None:
    with pytest.raises(InvalidArgument):
        await opened.reading(["a"], [_SCOPE.query({"n": "no number"})])
    assert await opened.reading(["a"], [_SCOPE.query({"n": 1})])


async def test_a_read_from_an_unreachable_server_is_unavailable(unused_tcp_port: int) -> None:
    url = f"postgresql://user:x@127.0.0.1:{unused_tcp_port}/nothing"
    async with open_database(url, connections=1, name="tests") as away:
        with pytest.raises(Unavailable):
            await away.reading(["a"], [_SCOPE.query({"n": 1})])


async def test_reads_of_one_tenant_leave_connections_to_others(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(postgres, "_WAITING", 0)
    async with open_database(database, connections=2, walks=2, name="tests") as opened, asyncio.TaskGroup() as tasks:
        held = [tasks.create_task(opened.reading(["a"], [_SLEEP.query({"seconds": 60})])) for _ in range(4)]
        await asyncio.sleep(0)
        with pytest.raises(RateLimited):
            await opened.reading(["a"], [_SCOPE.query({"n": 1})])
        assert await opened.reading(["b"], [_SCOPE.query({"n": 1})])
        for each in held:
            each.cancel()

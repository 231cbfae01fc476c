"""Row-level security isolates tenants even when a statement omits the tenant."""

from __future__ import annotations

import contextlib
from typing import Any, LiteralString

import psycopg
import pytest

from chassis.pipeline import Statement
from chassis.postgres import EVERY_TENANT, open_database
from messages.commands.model import Edit, Post, React
from messages.message import MessageId
from messages.store import audit
from messages.sweeper import Sweeper
from services.messages.tests.conftest import Town, denied
from stack.postgres import Postgres

_TABLES = """
SELECT c.relname, c.relrowsecurity AND c.relforcerowsecurity FROM pg_class c
JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant'
WHERE c.relkind IN ('r', 'p') AND c.relnamespace = 'public'::regnamespace
"""


async def rows(town: Town, tenants: tuple[str, ...], statement: LiteralString, *parameters: object) -> list[tuple[Any, ...]]:
    async with town.database.connection(tenants) as connection:
        return await (await connection.execute(statement, parameters)).fetchall()


async def protected(town: Town) -> list[str]:
    return [name for name, _ in await rows(town, EVERY_TENANT, _TABLES)]


async def count(town: Town, tenants: tuple[str, ...], table: str) -> int:
    async with town.database.connection(tenants) as connection:
        query = psycopg.sql.SQL("SELECT count(*) FROM {}").format(psycopg.sql.Identifier(table))
        row: Any = await (await connection.execute(query)).fetchone()
    return int(row[0])


async def lively(town: Town) -> str:
    """A channel with rows in every table."""
    room = await town.channel("ann", "bob")
    (posted,) = await town.do(town.command(room, "ann", Post("hello")))
    assert posted.message is not None
    message = MessageId(posted.message)
    await town.do(town.command(room, "bob", React(message, "+1")), town.command(room, "ann", Edit(message, "hello again")))
    return room


async def test_every_table_with_a_tenant_has_forced_row_level_security(town: Town) -> None:
    found = await rows(town, EVERY_TENANT, _TABLES)
    assert {name for name, _ in found} >= {"users", "channels", "members", "bans", "entries", "changes", "reactions"}
    assert all(forced for _, forced in found), found


async def test_a_statement_without_a_tenant_condition_sees_only_the_named_tenants(town: Town) -> None:
    await lively(town)
    for table in await protected(town):
        everything, own = await count(town, EVERY_TENANT, table), await count(town, (town.tenant,), table)
        assert await count(town, (), table) == 0
        assert await count(town, ("another",), table) == 0
        assert await count(town, ("another", town.tenant), table) == own <= everything
    assert await count(town, (town.tenant,), "messages") == 1


async def test_a_row_of_a_tenant_that_was_not_named_cannot_be_written(town: Town) -> None:
    await lively(town)
    insert = "INSERT INTO users (tenant, id, name) VALUES (%s, 'eve', 'Eve')"
    with denied():
        async with town.database.connection(["another"]) as connection:
            await connection.execute(insert, [town.tenant])
    for statement in ("UPDATE entries SET text = 'mine'", "DELETE FROM reactions"):
        async with town.database.connection(["another"]) as connection:
            assert (await connection.execute(statement)).rowcount == 0
    with denied():
        async with town.database.connection([town.tenant]) as connection:
            await connection.execute("UPDATE channels SET tenant = 'another'")


async def test_a_connection_forgets_the_tenants_of_its_previous_use(town: Town) -> None:
    await lively(town)
    async with town.database.transaction([town.tenant]) as connection:
        assert await (await connection.execute("SELECT count(*) FROM messages")).fetchone() == (1,)
    count = Statement("SELECT count(*) FROM messages").query({})
    for _ in range(8):  # the size of the pool
        assert await town.database.pipeline([town.tenant], [count]) == [[(1,)]]
        assert await town.database.pipeline(["another"], [count]) == [[(0,)]]
        async with town.database.connection([]) as connection:
            assert await (await connection.execute("SELECT count(*) FROM messages")).fetchone() == (0,)


async def test_no_setting_shows_the_role_of_the_service_every_tenant(town: Town) -> None:
    await lively(town)
    for statement in ("SET hubbub.tenants = '{*}'", "SET hubbub.tenants = '{*,*}'", "SET row_security = off", "SET ROLE test"):
        async with town.database.connection([]) as connection:
            with contextlib.suppress(psycopg.errors.InsufficientPrivilege):
                await connection.execute(statement)
            with contextlib.suppress(psycopg.errors.InsufficientPrivilege):
                assert await (await connection.execute("SELECT count(*) FROM users")).fetchone() == (0,), statement
            await connection.execute("RESET ALL")


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE users NO FORCE ROW LEVEL SECURITY",
        "ALTER TABLE users DISABLE ROW LEVEL SECURITY",
        "DROP POLICY tenants ON users",
        "CREATE POLICY mine ON users USING (true)",
        "SET ROLE hubbub_every_tenant",
        "GRANT hubbub_every_tenant TO CURRENT_USER",
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "ALTER ROLE CURRENT_USER BYPASSRLS",
    ],
)
async def test_the_role_of_the_service_cannot_lift_row_level_security(town: Town, statement: LiteralString) -> None:
    with denied():
        async with town.database.connection([town.tenant]) as connection:
            await connection.execute(statement)


async def test_every_table_with_a_tenant_lets_the_sweepers_group_alone_name_every_tenant(town: Town) -> None:
    query = "SELECT tablename, policyname, roles::text[], qual LIKE '%%*%%' FROM pg_policies ORDER BY policyname"
    found = await rows(town, EVERY_TENANT, query)
    for table in await protected(town):
        assert [each[1:] for each in found if each[0] == table] == [
            ("every_tenant", ["hubbub_every_tenant"], True),
            ("tenants", ["public"], False),
        ], table


async def test_the_sweeper_publishes_as_the_group_of_sweepers(own_town: Town, postgres_server: Postgres) -> None:
    room = await own_town.channel("ann", "bob")
    await own_town.do(own_town.command(room, "ann", Post("hello")))
    name = own_town.url.rpartition("/")[2]
    sweeper_url = await postgres_server.ensure_login(name, "test_sweeper", "hubbub_every_tenant")
    async with open_database(sweeper_url, connections=1, name="tests", production=True) as database:
        sweeper = Sweeper(database, own_town.publisher, stale_seconds=0)
        assert await sweeper.sweep() > 0
        assert await sweeper.sweep() == 0
        assert await audit.verify_all(database) == []
        for statement in ("DELETE FROM entries", "UPDATE users SET name = ''", "SELECT audit_append('t', '', '', NULL, '', '')"):
            with denied():
                async with database.connection(EVERY_TENANT) as connection:
                    await connection.execute(statement)

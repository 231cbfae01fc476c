"""Pipelines."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import psycopg
import pytest

from chassis.errors import Unavailable
from chassis.pipeline import Query, Statement, Value
from chassis.postgres import EVERY_TENANT, Database, open_database

COUNT = Statement("SELECT count(*) FROM things")
ADD = Statement("INSERT INTO things VALUES (%(n)s)")
BACKEND = Statement("SELECT pg_backend_pid()")
TERMINATE = "SELECT pg_terminate_backend(%s, 5000)"


@pytest.fixture
async def opened(database: str) -> AsyncIterator[Database]:
    async with open_database(database, connections=1, pipelines=1, name="tests") as opened:
        async with opened.connection(EVERY_TENANT) as connection:
            await connection.execute("CREATE TABLE things (n int CHECK (n > 0) UNIQUE DEFERRABLE INITIALLY DEFERRED, text text)")
        yield opened


def add(n: int) -> Query:
    return ADD.query({"n": n})


async def one(opened: Database, statement: Statement, **parameters: Value) -> object:
    """The single value that a statement returns."""
    (((value,),),) = await opened.pipeline(EVERY_TENANT, [statement.query(parameters)])
    return value


async def test_a_pipeline_is_one_transaction_whose_statements_see_earlier_ones(opened: Database) -> None:
    transaction = Statement("SELECT pg_current_xact_id()::text, count(*) FROM things").query({})
    ((first, before),), added, ((second, after),) = await opened.pipeline(EVERY_TENANT, [transaction, add(1), transaction])
    assert first == second
    assert (before, added, after) == (0, [], 1)


async def test_one_failed_statement_rolls_back_all_and_keeps_the_connection(opened: Database) -> None:
    backend = await one(opened, BACKEND)
    broken = Statement("SELECT broken")
    with pytest.raises(psycopg.errors.CheckViolation):
        await opened.pipeline(EVERY_TENANT, [add(1), add(0), add(2), COUNT.query({})])
    for _ in range(2):
        with pytest.raises(Unavailable) as caught:  # it may succeed once the schema is the one that the statement needs
            await opened.pipeline(EVERY_TENANT, [add(1), broken.query({})])
        assert isinstance(caught.value.__cause__, psycopg.errors.UndefinedColumn)
    assert await one(opened, COUNT) == 0
    assert await one(opened, BACKEND) == backend


async def test_a_failed_commit_raises_its_error(opened: Database) -> None:
    with pytest.raises(psycopg.errors.UniqueViolation):
        await opened.pipeline(EVERY_TENANT, [add(1), add(1)])
    assert await one(opened, COUNT) == 0


async def test_a_statement_is_prepared_once(opened: Database) -> None:
    for n in (1, 2):
        await opened.pipeline(EVERY_TENANT, [add(n), add(-n + 5)])
        assert await one(opened, Statement("SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE 'INSERT%'")) == 1


async def test_the_tenants_are_set_when_they_change_or_were_rolled_back(opened: Database) -> None:
    tenants_setting = Statement("SELECT current_setting('hubbub.tenants', true)")
    for tenants in (["one"], ["one"], ["two", 'th,r"ee'], ["one"]):
        (((setting,),),) = await opened.pipeline(tenants, [tenants_setting.query({})])
        assert setting == ("{one}" if len(tenants) == 1 else '{two,"th,r\\"ee"}')
    with pytest.raises(psycopg.errors.CheckViolation):
        await opened.pipeline(["two"], [add(0)])
    (((setting,),),) = await opened.pipeline(["two"], [tenants_setting.query({})])
    assert setting == "{two}"


@pytest.mark.parametrize(
    ("type_", "value"),
    [
        ("text", None),
        ("text", 'it\'s a \\ "ü"'),
        ("text", ""),
        ("bool", True),
        ("bool", False),
        ("int8", -(2**63)),
        ("float8", 1e300),
        ("text[]", ["", "NULL", "a,b", 'q"q', "b\\s", "{}"]),
        ("text[]", []),
    ],
)
async def test_values_arrive_unchanged(opened: Database, type_: str, value: Value) -> None:
    assert await one(opened, Statement(f"SELECT %(value)s::{type_}"), value=value) == value


def test_a_text_with_nul_is_refused() -> None:
    with pytest.raises(psycopg.DataError):
        ADD.query({"n": "1\x00"})


async def test_data_beyond_the_socket_buffer_is_sent_and_received(opened: Database) -> None:
    text = "x" * 20_000_000
    assert await one(opened, Statement("SELECT %(text)s::text"), text=text) == text


async def test_a_cancelled_pipeline_that_was_not_completely_sent_has_no_effect(opened: Database, database: str) -> None:
    backend = await one(opened, BACKEND)
    long = Statement("SELECT %(text)s::text").query({"text": "x" * 50_000_000})
    sending = asyncio.create_task(opened.pipeline(EVERY_TENANT, [add(1), long]))
    await asyncio.sleep(0)  # sent until the socket buffer is full
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    async with asyncio.timeout(5), await psycopg.AsyncConnection.connect(database, autocommit=True) as other:
        while await (await other.execute("SELECT FROM pg_stat_activity WHERE pid = %s", [backend])).fetchone():
            pass
    assert await one(opened, COUNT) == 0


async def test_a_connection_that_the_server_closed_while_idle_is_not_used(opened: Database, database: str) -> None:
    backend = await one(opened, BACKEND)
    async with await psycopg.AsyncConnection.connect(database, autocommit=True) as admin:
        await admin.execute(TERMINATE, [backend])
        assert await one(opened, BACKEND) != backend


async def test_a_connection_lost_during_a_pipeline_is_unavailable_once(opened: Database, database: str) -> None:
    backend = await one(opened, BACKEND)
    async with await psycopg.AsyncConnection.connect(database, autocommit=True) as admin:
        waiting = asyncio.create_task(opened.pipeline(EVERY_TENANT, [Statement("SELECT pg_sleep(5)").query({})]))
        await asyncio.sleep(0)  # sent
        await admin.execute(TERMINATE, [backend])
        with pytest.raises(Unavailable):
            await waiting
    assert await one(opened, BACKEND) != backend


async def test_a_lock_timeout_is_unavailable_and_keeps_the_connection(opened: Database) -> None:
    backend = await one(opened, BACKEND)
    hurry = Statement("SELECT set_config('lock_timeout', '10ms', true)").query({})
    async with opened.transaction(EVERY_TENANT) as holder:
        await holder.execute("LOCK TABLE things")
        with pytest.raises(Unavailable):
            await opened.pipeline(EVERY_TENANT, [hurry, add(1)])
    assert (await one(opened, BACKEND), await one(opened, COUNT)) == (backend, 0)


async def test_a_pipeline_past_its_deadline_is_unavailable_and_so_are_its_waiters(
    opened: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    backend = await one(opened, BACKEND)
    monkeypatch.setattr("chassis.postgres._OPERATION_SECONDS", 0.1)
    sleep = Statement("SELECT pg_sleep(1)")
    both = await asyncio.gather(one(opened, sleep), one(opened, sleep), return_exceptions=True)
    assert [type(each) for each in both] == [Unavailable, Unavailable]
    monkeypatch.undo()
    assert await one(opened, BACKEND) != backend


async def test_the_pool_opens_no_more_pipelines_than_its_size(opened: Database) -> None:
    both = await asyncio.gather(one(opened, BACKEND), one(opened, BACKEND))
    assert len(set(both)) == 1


async def test_an_unreachable_server_is_unavailable(unused_tcp_port: int) -> None:
    url = f"postgresql://user:x@127.0.0.1:{unused_tcp_port}/nothing"
    async with open_database(url, connections=1, pipelines=1, name="tests") as away:
        with pytest.raises(Unavailable):
            await one(away, BACKEND)

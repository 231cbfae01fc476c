"""Access to a service's PostgreSQL database: bounded pools, a deadline for every operation, and classified errors.

A caller names the tenants whose rows it may access; row-level security of the service's tables enforces it. The service owns its
SQL. Requires the extra `hubbub-chassis[postgres]`, so that services without a database carry no driver.
"""

from __future__ import annotations

import asyncio
import select
import weakref
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from types import MappingProxyType

import psycopg
import structlog
from psycopg.conninfo import make_conninfo
from psycopg.types.string import TextLoader
from psycopg_pool import AsyncConnectionPool

from chassis.errors import Unavailable
from chassis.pipeline import Pipelines, Query, Rows

log = structlog.get_logger()
Connection = psycopg.AsyncConnection[tuple[object, ...]]

EVERY_TENANT = ("*",)
"""For work across tenants: sweeping, scanning, comparing heads. No tenant has this name."""
STATEMENT_SECONDS = 5
LOCK_SECONDS = 3.0
_OPERATION_SECONDS = 10.0
"""The deadline of an operation: waiting for a connection, its statements, the commit."""
_POOL_SECONDS = 2.0
_RECONNECT_SECONDS = 1.0
"""The pool stops reconnecting after this. The next request makes it try again at once, so recovery is noticed soon."""
_SETTINGS = {
    "statement_timeout": f"{STATEMENT_SECONDS}s",
    "lock_timeout": f"{LOCK_SECONDS}s",
    "idle_in_transaction_session_timeout": "10s",
    "timezone": "UTC",
    "jit": "off",
}
_NO_SETTINGS: Mapping[str, str] = MappingProxyType({})
_UNBOUND = "SELECT FROM pg_roles WHERE rolname = current_user AND (rolsuper OR rolbypassrls)"
_SCOPE = "SELECT set_config('hubbub.tenants', %s::text[]::text, false)"
# SQLSTATE classes after which the same statement may succeed later: connection, transaction state and rollback (also a
# read-only server), resources (also a full disk), object state (also locks), operator intervention, system.
_TRANSIENT = frozenset({"08", "25", "40", "53", "55", "57", "58"})
_WRONG_SCHEMA = "42"
"""SQLSTATE class "syntax error or access rule violation": the schema or the role is not the one that the code was written for."""


def is_transient(error: psycopg.Error) -> bool:
    """Whether the same statement may succeed later: the error is about the server or the connection, not the statement."""
    if error.sqlstate is None:
        return isinstance(error, psycopg.OperationalError)
    return error.sqlstate[:2] in _TRANSIENT


def is_wrong_schema(error: psycopg.Error) -> bool:
    """Whether the statement needs another schema or other rights: it may succeed once the database is migrated."""
    return error.sqlstate is not None and error.sqlstate.startswith(_WRONG_SCHEMA)


class _Failures:
    """Raises `Unavailable` in place of transient errors, and where the schema is wrong, at the end of a block."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, psycopg.Error) and is_wrong_schema(error):
            log.error("statement_refused", sqlstate=error.sqlstate)
            raise Unavailable from error
        if isinstance(error, TimeoutError) or (isinstance(error, psycopg.Error) and is_transient(error)):
            raise Unavailable from error


_FAILURES = _Failures()


class Database:
    """Connections to one database. Times are returned in UTC, UUIDs as text."""

    def __init__(self, pool: AsyncConnectionPool[Connection], pipelines: Pipelines) -> None:
        self._pool = pool
        self._pipelines = pipelines
        self._scopes: weakref.WeakKeyDictionary[Connection, list[str]] = weakref.WeakKeyDictionary()
        """The tenants last set in each connection's session, outside any transaction."""

    @asynccontextmanager
    async def connection(self, tenants: Collection[str]) -> AsyncIterator[Connection]:
        """A connection on which each statement is its own transaction, with access to the rows of `tenants` only.

        Raises `Unavailable` for transient errors and after the deadline, otherwise `psycopg.Error`.
        """
        async with self._taken() as connection:
            scope = list(tenants)
            if self._scopes.get(connection) != scope:
                self._scopes.pop(connection, None)
                await connection.execute(_SCOPE, [scope])
                self._scopes[connection] = scope
            yield connection

    @asynccontextmanager
    async def _taken(self) -> AsyncIterator[Connection]:
        with _FAILURES:
            async with asyncio.timeout(_OPERATION_SECONDS):
                connection = await self._take()
                try:
                    yield connection
                finally:
                    await self._pool.putconn(connection)

    async def _take(self) -> Connection:
        """A connection that the server has not closed while it was idle."""
        while True:
            connection = await self._pool.getconn()
            if not _closed_by_server(connection):
                return connection
            await connection.close()
            await self._pool.putconn(connection)

    @asynccontextmanager
    async def transaction(self, tenants: Collection[str]) -> AsyncIterator[Connection]:
        """A connection in a transaction, committed on leaving, rolled back on an exception. Otherwise as `connection`."""
        async with self.connection(tenants) as connection, connection.transaction():
            yield connection

    async def pipeline(
        self, tenants: Collection[str], queries: Sequence[Query], *, lock_seconds: float = LOCK_SECONDS
    ) -> list[Rows]:
        """Execute `queries` in one transaction and one round trip; returns the rows of each. Otherwise as `connection`.

        When a query fails, or waits for a lock longer than `lock_seconds`, all are rolled back and its error is raised.
        """
        with _FAILURES:
            return await self._pipelines.run(list(tenants), queries, lock_seconds, _OPERATION_SECONDS)

    async def ping(self) -> None:
        """Raise `Unavailable` unless the server responds."""
        async with self._taken() as connection:
            await connection.execute("SELECT 1")


@asynccontextmanager
async def open_database(
    url: str, *, connections: int, pipelines: int = 0, pipeline_settings: Mapping[str, str] = _NO_SETTINGS, name: str
) -> AsyncIterator[Database]:
    """Open a database inside the block: at most `connections` in the pool, and `pipelines` more for `Database.pipeline`.

    `pipeline_settings` are server settings for the pipelines alone, declared by the module that owns their statements.
    Succeeds while the server is away; connections are made once it is back.
    """

    def address(settings: Mapping[str, str]) -> str:
        options = " ".join(f"-c {key}={value}" for key, value in settings.items())
        return make_conninfo(
            url, application_name=name, connect_timeout=3, tcp_user_timeout=5_000, keepalives_idle=10, options=options
        )

    async def connect() -> Connection:
        connection = await psycopg.AsyncConnection.connect(address({**_SETTINGS, **pipeline_settings}), autocommit=True)
        try:
            await _configure(connection)
        except BaseException:  # cancelled, too
            await connection.close()
            raise
        return connection

    pool: AsyncConnectionPool[Connection] = AsyncConnectionPool(
        address(_SETTINGS),
        kwargs={"autocommit": True, "prepare_threshold": 0},
        min_size=1,
        max_size=connections,
        timeout=_POOL_SECONDS,
        max_waiting=1_000,
        reconnect_timeout=_RECONNECT_SECONDS,
        configure=_configure,
        open=False,
    )
    opened = Pipelines(connect, pipelines)
    await pool.open()
    try:
        yield Database(pool, opened)
    finally:
        opened.close()
        await pool.close()


def _closed_by_server(connection: Connection) -> bool:
    """Whether an idle connection is readable: it becomes so only when the server closes it. Costs no round trip."""
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return bool(poll.poll(0))


async def _configure(connection: Connection) -> None:
    connection.adapters.register_loader("uuid", TextLoader)
    if await (await connection.execute(_UNBOUND)).fetchone() is not None:
        log.error("row_security_bypassed")  # tenants are not isolated: docs/operations.md, Settings

"""How a service speaks to its PostgreSQL: a bounded pool, deadlines everywhere, failures told apart. The SQL is the service's.

Whoever takes a connection names the tenants whose rows it may touch: row-level security of the service's tables holds it to them.

For services that own a database; needs the extra `hubbub-chassis[postgres]`, so that nobody else carries a driver.
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
"""For work that is nobody's: sweeping, scanning, auditing heads. No tenant has this name."""
STATEMENT_SECONDS = 5
LOCK_SECONDS = 3.0
_OPERATION_SECONDS = 10.0
"""A whole operation: waiting for a connection, its statements, the commit."""
_POOL_SECONDS = 2.0
_RECONNECT_SECONDS = 1.0
"""After this the pool gives up trying; whoever asks next makes it try at once, so that a server's return is soon noticed."""
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


def is_transient(error: psycopg.Error) -> bool:
    """Whether the trouble is the server's state, or the way to it, rather than what it was asked."""
    if error.sqlstate is None:
        return isinstance(error, psycopg.OperationalError)
    return error.sqlstate[:2] in _TRANSIENT


class _Failures:
    """Tells what is transient from what is not, at the end of a block."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, TimeoutError) or (isinstance(error, psycopg.Error) and is_transient(error)):
            raise Unavailable from error


_FAILURES = _Failures()


class Database:
    """Connections to one database. Times come back in UTC, UUIDs as text."""

    def __init__(self, pool: AsyncConnectionPool[Connection], pipelines: Pipelines) -> None:
        self._pool = pool
        self._pipelines = pipelines
        self._scopes: weakref.WeakKeyDictionary[Connection, list[str]] = weakref.WeakKeyDictionary()
        """The tenants that a connection's session was last told, outside any transaction."""

    @asynccontextmanager
    async def connection(self, tenants: Collection[str]) -> AsyncIterator[Connection]:
        """A connection on which each statement is its own transaction, and sees the rows of `tenants` alone.

        Raises `Unavailable` for what is transient and past the deadline, else `psycopg.Error`.
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
        """A connection whose server has not hung up while it lay idle, found out without asking it."""
        while True:
            connection = await self._pool.getconn()
            if not _hung_up(connection):
                return connection
            await connection.close()
            await self._pool.putconn(connection)

    @asynccontextmanager
    async def transaction(self, tenants: Collection[str]) -> AsyncIterator[Connection]:
        """A connection in a transaction, committed on leaving, rolled back on an exception. Else as `connection`."""
        async with self.connection(tenants) as connection, connection.transaction():
            yield connection

    async def pipeline(
        self, tenants: Collection[str], queries: Sequence[Query], *, lock_seconds: float = LOCK_SECONDS
    ) -> list[Rows]:
        """Carry `queries` out in one transaction and one round trip, and return each one's rows. Else as `connection`.

        When one of them fails, or waits for a lock longer than `lock_seconds`, all are rolled back, and its error is raised.
        """
        with _FAILURES:
            return await self._pipelines.run(list(tenants), queries, lock_seconds, _OPERATION_SECONDS)

    async def ping(self) -> None:
        """Raise `Unavailable` unless the server answers."""
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


def _hung_up(connection: Connection) -> bool:
    """Whether an idle connection has something to say: nobody asked, so it is the server's farewell."""
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return bool(poll.poll(0))


async def _configure(connection: Connection) -> None:
    connection.adapters.register_loader("uuid", TextLoader)
    if await (await connection.execute(_UNBOUND)).fetchone() is not None:
        log.error("row_security_bypassed")  # the wall between tenants is not there: docs/operations.md, Settings

"""How a service speaks to its PostgreSQL: a bounded pool, deadlines everywhere, failures told apart. The SQL is the service's.

Whoever takes a connection names the tenants whose rows it may touch: row-level security of the service's tables holds it to them.

For services that own a database; needs the extra `hubbub-chassis[postgres]`, so that nobody else carries a driver.
"""

from __future__ import annotations

import asyncio
import select
import weakref
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager

import psycopg
import structlog
from psycopg.types.string import TextLoader
from psycopg_pool import AsyncConnectionPool

from chassis.errors import Unavailable

log = structlog.get_logger()
Connection = psycopg.AsyncConnection[tuple[object, ...]]

EVERY_TENANT = ("*",)
"""For work that is nobody's: sweeping, scanning, auditing heads. No tenant has this name."""
STATEMENT_SECONDS = 5
_OPERATION_SECONDS = 10.0
"""A whole operation: waiting for a connection, its statements, the commit."""
_POOL_SECONDS = 2.0
_RECONNECT_SECONDS = 1.0
"""After this the pool gives up trying; whoever asks next makes it try at once, so that a server's return is soon noticed."""
# Every statement here walks indexes, and must go on doing so when a table was empty at the moment its plan was made.
_OPTIONS = {
    "statement_timeout": f"{STATEMENT_SECONDS}s",
    "lock_timeout": "3s",
    "idle_in_transaction_session_timeout": "10s",
    "timezone": "UTC",
    "jit": "off",
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
}
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


class Database:
    """A pool of connections to one database. Times come back in UTC, UUIDs as text."""

    def __init__(self, pool: AsyncConnectionPool[Connection]) -> None:
        self._pool = pool
        self._scopes: weakref.WeakKeyDictionary[Connection, list[str]] = weakref.WeakKeyDictionary()
        """The tenants that a connection's session was last told, outside any transaction."""

    @asynccontextmanager
    async def connection(self, tenants: Collection[str]) -> AsyncIterator[Connection]:
        """A connection on which each statement is its own transaction, and sees the rows of `tenants` alone.

        Raises `Unavailable` for what is transient and past the deadline, else `psycopg.Error`.
        """
        async with self._taken() as connection:
            await self._tell(connection, tenants)
            yield connection

    @asynccontextmanager
    async def _taken(self) -> AsyncIterator[Connection]:
        try:
            async with asyncio.timeout(_OPERATION_SECONDS):
                connection = await self._take()
                try:
                    yield connection
                finally:
                    await self._pool.putconn(connection)
        except TimeoutError as error:
            raise Unavailable from error
        except psycopg.Error as error:
            if is_transient(error):
                raise Unavailable from error
            raise

    async def _take(self) -> Connection:
        """A connection whose server has not hung up while it lay idle, found out without asking it."""
        while True:
            connection = await self._pool.getconn()
            if not _hung_up(connection):
                return connection
            await connection.close()
            await self._pool.putconn(connection)

    async def _tell(self, connection: Connection, tenants: Collection[str]) -> None:
        scope = list(tenants)
        if self._scopes.get(connection) != scope:
            self._scopes.pop(connection, None)
            await connection.execute(_SCOPE, [scope])
            self._scopes[connection] = scope

    @asynccontextmanager
    async def transaction(self, tenants: Collection[str]) -> AsyncIterator[Connection]:
        """A connection in a transaction, committed on leaving, rolled back on an exception. Else as `connection`."""
        async with self.connection(tenants) as connection, connection.transaction():
            yield connection

    @asynccontextmanager
    async def pipeline(self, tenants: Collection[str]) -> AsyncIterator[Connection]:
        """A transaction that goes to the server in one round trip: fetch results after the block. Else as `connection`.

        When one statement fails, all of it is rolled back, and leaving the block raises that statement's error. There is no
        BEGIN and no COMMIT to pay for: what is sent before the Sync that ends a pipeline is one transaction by itself
        (PostgreSQL's manual, "Message Flow", Pipelining).
        """
        async with self._taken() as connection:
            try:
                async with connection.pipeline(), _no_half(connection):
                    await self._tell(connection, tenants)
                    yield connection
            except BaseException:  # cancelled, too
                self._scopes.pop(connection, None)  # rolled back, perhaps
                raise

    async def ping(self) -> None:
        """Raise `Unavailable` unless the server answers."""
        async with self._taken() as connection:
            await connection.execute("SELECT 1")


@asynccontextmanager
async def open_database(url: str, *, connections: int, name: str) -> AsyncIterator[Database]:
    """A pool of at most `connections` inside the block. Opens also while the server is away: it connects when it can."""
    pool: AsyncConnectionPool[Connection] = AsyncConnectionPool(
        url,
        kwargs={
            "autocommit": True,
            "prepare_threshold": 0,
            "application_name": name,
            "connect_timeout": 3,
            "tcp_user_timeout": 5_000,
            "keepalives_idle": 10,
            "options": " ".join(f"-c {key}={value}" for key, value in _OPTIONS.items()),
        },
        min_size=1,
        max_size=connections,
        timeout=_POOL_SECONDS,
        max_waiting=1_000,
        reconnect_timeout=_RECONNECT_SECONDS,
        configure=_configure,
        open=False,
    )
    await pool.open()
    try:
        yield Database(pool)
    finally:
        await pool.close()


@asynccontextmanager
async def _no_half(connection: Connection) -> AsyncIterator[None]:
    """Hang up when a pipeline is left before all of it was sent: its Sync would commit the half that was.

    What the server itself refused it has rolled back.
    """
    try:
        yield
    except BaseException as error:  # cancelled, too
        if not isinstance(error, psycopg.Error) or error.sqlstate is None:
            await connection.close()
        raise


def _hung_up(connection: Connection) -> bool:
    """Whether an idle connection has something to say: nobody asked, so it is the server's farewell."""
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return bool(poll.poll(0))


async def _configure(connection: Connection) -> None:
    connection.adapters.register_loader("uuid", TextLoader)
    if await (await connection.execute(_UNBOUND)).fetchone() is not None:
        log.error("row_security_bypassed")  # the wall between tenants is not there: docs/operations.md, Settings

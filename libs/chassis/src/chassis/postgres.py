"""Access to a service's PostgreSQL database: bounded pools, a deadline for every operation, and classified errors.

A caller names the tenants whose rows it may access; row-level security of the service's tables enforces it. Work across all
tenants has a database role of its own (see `database_role`). The service owns its SQL. Requires the extra
`hubbub-chassis[postgres]`, so that services without a database carry no driver.
"""

from __future__ import annotations

import asyncio
import select
import weakref
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, nullcontext
from functools import partial
from types import MappingProxyType

import psycopg
import structlog
from psycopg.conninfo import make_conninfo
from psycopg.types.string import TextLoader
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from chassis.database_role import RoleCheck
from chassis.errors import InvalidArgument, RateLimited, TooLarge, Unavailable
from chassis.pipeline import Pipelines, Query, Rows
from chassis.under_way import UnderWay

log = structlog.get_logger()
Connection = psycopg.AsyncConnection[tuple[object, ...]]
Pool = AsyncConnectionPool[Connection]

EVERY_TENANT = ("*",)
"""For work across tenants: sweeping, scanning, comparing heads. No tenant has this name."""
STATEMENT_SECONDS = 5
LOCK_SECONDS = 3.0
_OPERATION_SECONDS = 10.0
"""The deadline of an operation: waiting for a connection, its statements, the commit."""
_POOL_SECONDS = 2.0
WALK_SECONDS = 3
"""The longest statement that walks; with the wait for its connection it ends within the deadline of a gateway's call."""
_WALK_POOL_SECONDS = 1.0
_READERS = 8
"""Connections for `Database.reading`, opened when needed."""
_WAITING = 200
"""Uses of the pool by one tenant that wait while it holds its share."""
_WALKS_WAITING = 8
_SHARE_TAKEN = "This tenant's share of the database connections is taken"
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
SWEEPER_CONNECTIONS = 2
"""For `EVERY_TENANT`, unless more are asked for."""
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
    """Raises `Unavailable` in place of transient errors, and where the schema is wrong, at the end of a block.

    With `values`, raises `InvalidArgument` for a value that a statement cannot read.
    """

    def __init__(self, *, values: bool) -> None:
        self._values = values

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, psycopg.Error) and is_wrong_schema(error):
            log.error("statement_refused", sqlstate=error.sqlstate)
            raise Unavailable from error
        if isinstance(error, TimeoutError) or (isinstance(error, psycopg.Error) and is_transient(error)):
            raise Unavailable from error
        if self._values and isinstance(error, psycopg.DataError):
            raise InvalidArgument("A value is not valid") from error


_FAILURES = _Failures(values=True)
_PIPELINE_FAILURES = _Failures(values=False)
"""For statements whose values were checked before, and whose caller finds out which command is at fault."""


class Database:
    """Connections to one database. Times are returned in UTC, UUIDs as text."""

    def __init__(self, pool: Pool, sweeper_pool: Pool, pipelines: Pipelines, reads: Pipelines, walks: Pool | None = None) -> None:
        self._pool = pool
        self._sweeper_pool = sweeper_pool
        """For `EVERY_TENANT`."""
        self._walks = walks or pool
        """For statements that walk."""
        self._pipelines = pipelines
        self._reads = reads
        """For `reading`."""
        self._shares: UnderWay | None = None
        """By tenant; None without a bound."""
        self._walk_shares: UnderWay | None = None
        self._read_shares: UnderWay | None = None
        if walks is not None:
            self._shares = UnderWay(pool.max_size // 2, _SHARE_TAKEN, waiting=_WAITING, seconds=_POOL_SECONDS)
            self._read_shares = UnderWay(_READERS // 2, _SHARE_TAKEN, waiting=_WAITING, seconds=_POOL_SECONDS)
            self._walk_shares = UnderWay(walks.max_size // 2, _SHARE_TAKEN, waiting=_WALKS_WAITING, seconds=_WALK_POOL_SECONDS)
        self._scopes: weakref.WeakKeyDictionary[Connection, list[str]] = weakref.WeakKeyDictionary()
        """The tenants last set in each connection's session, outside any transaction."""

    @asynccontextmanager
    async def connection(self, tenants: Collection[str]) -> AsyncIterator[Connection]:
        """A connection on which each statement is its own transaction, with access to the rows of `tenants` only.

        Raises `RateLimited` while a single tenant's share of the pool is taken (`open_database`), `Unavailable` for transient
        errors and after the deadline, `InvalidArgument` for `psycopg.DataError`, otherwise `psycopg.Error`.
        """
        scope = list(tenants)
        pool = self._sweeper_pool if scope == [*EVERY_TENANT] else self._pool
        async with _share(self._shares, scope), self._taken(pool) as connection:
            await self._set_scope(connection, scope)
            yield connection

    @asynccontextmanager
    async def walking(self, tenant: str) -> AsyncIterator[Connection]:
        """As `connection`, from a small pool of its own, for statements whose work grows with what the tenant has stored.

        Raises `RateLimited` also while the whole pool is taken, and `TooLarge` after `WALK_SECONDS`.
        """
        async with _share(self._walk_shares, [tenant]):
            try:
                async with self._taken(self._walks) as connection:
                    await self._set_scope(connection, [tenant])
                    try:
                        yield connection
                    except psycopg.errors.QueryCanceled:
                        raise TooLarge("This takes too long; ask for less, such as one channel") from None
            except Unavailable as error:
                if isinstance(error.__cause__, PoolTimeout):
                    raise RateLimited("Too many searches are under way") from None
                raise

    async def _set_scope(self, connection: Connection, scope: list[str]) -> None:
        if self._scopes.get(connection) != scope:
            self._scopes.pop(connection, None)
            await connection.execute(_SCOPE, [scope])
            self._scopes[connection] = scope

    @asynccontextmanager
    async def _taken(self, pool: Pool) -> AsyncIterator[Connection]:
        with _FAILURES:
            async with asyncio.timeout(_OPERATION_SECONDS):
                connection = await _take(pool)
                try:
                    yield connection
                finally:
                    await pool.putconn(connection)

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
        with _PIPELINE_FAILURES:
            return await self._pipelines.run(list(tenants), queries, lock_seconds, _OPERATION_SECONDS)

    async def reading(self, tenants: Collection[str], queries: Sequence[Query]) -> list[Rows]:
        """Execute statements that only read, in one round trip, on a few connections of their own. Otherwise as `connection`.

        Costs a third of `connection` with as many statements. Each statement sees what was committed when it began.
        """
        scope = list(tenants)
        with _FAILURES:
            async with _share(self._read_shares, scope):
                return await self._reads.run(scope, queries, LOCK_SECONDS, _OPERATION_SECONDS)

    async def ping(self) -> None:
        """Raise `Unavailable` unless the server responds."""
        for pool in {self._pool, self._sweeper_pool}:
            async with self._taken(pool) as connection:
                await connection.execute("SELECT 1")


@asynccontextmanager
async def open_database(
    url: str,
    *,
    sweeper_url: str = "",
    connections: int,
    sweepers: int = SWEEPER_CONNECTIONS,
    walks: int = 0,
    pipelines: int = 0,
    pipeline_settings: Mapping[str, str] = _NO_SETTINGS,
    name: str,
    production: bool = False,
) -> AsyncIterator[Database]:
    """Open a database inside the block: at most `connections` in the pool, and more for its other ways of use.

    With `walks`, one tenant holds at most half of either pool, so that its load leaves room for the others.

    `sweeper_url` names the role for work with the scope `EVERY_TENANT`; it gets `sweepers` more connections.
    Without it `url` serves both.
    `pipeline_settings` are server settings for the pipelines alone, declared by the module that owns their statements.
    Succeeds while the server is away; connections are made once it is back.
    In production raises `ConfigError` for a role that may do more than its work; a role that is given more later is not used.
    """

    def address(url: str, settings: Mapping[str, str]) -> str:
        options = " ".join(f"-c {key}={value}" for key, value in settings.items())
        return make_conninfo(
            url, application_name=name, connect_timeout=3, tcp_user_timeout=5_000, keepalives_idle=10, options=options
        )

    service = RoleCheck(production=production, every_tenant=not sweeper_url)
    sweeper = RoleCheck(production=production, every_tenant=True)

    async def connect(settings: Mapping[str, str]) -> Connection:
        connection = await psycopg.AsyncConnection.connect(address(url, settings), autocommit=True)
        try:
            await _configure(connection, service)
        except BaseException:  # cancelled, too
            await connection.close()
            raise
        return connection

    def pool(url: str, size: int, wait: float, settings: Mapping[str, str], role: RoleCheck) -> Pool:
        return AsyncConnectionPool(
            address(url, settings),
            kwargs={"autocommit": True, "prepare_threshold": 0},
            min_size=min(size, 1),
            max_size=size,
            timeout=wait,
            max_waiting=1_000,
            reconnect_timeout=_RECONNECT_SECONDS,
            configure=partial(_configure, role=role),
            open=False,
        )

    await service.refuse(address(url, _SETTINGS))
    if sweeper_url:
        await sweeper.refuse(address(sweeper_url, _SETTINGS))
    opened = Pipelines(partial(connect, {**_SETTINGS, **pipeline_settings}), pipelines)
    reads = Pipelines(partial(connect, _SETTINGS), _READERS)
    async with AsyncExitStack() as stack:
        stack.callback(opened.close)
        stack.callback(reads.close)
        main = await stack.enter_async_context(pool(url, connections, _POOL_SECONDS, _SETTINGS, service))
        sweeping, slow = main, None
        if sweeper_url:
            sweeping = await stack.enter_async_context(pool(sweeper_url, sweepers, _POOL_SECONDS, _SETTINGS, sweeper))
        if walks:
            patient = {**_SETTINGS, "statement_timeout": f"{WALK_SECONDS}s"}
            slow = await stack.enter_async_context(pool(url, walks, _WALK_POOL_SECONDS, patient, service))
        yield Database(main, sweeping, opened, reads, slow)


async def _take(pool: Pool) -> Connection:
    """A connection that the server has not closed while it was idle."""
    while True:
        connection = await pool.getconn()
        if not _closed_by_server(connection):
            return connection
        await connection.close()
        await pool.putconn(connection)


def _share(shares: UnderWay | None, scope: list[str]) -> AbstractAsyncContextManager[None]:
    """One of a single tenant's shares. Work across tenants needs none."""
    return shares.turn(*scope) if shares and len(scope) == 1 and scope != [*EVERY_TENANT] else nullcontext()


def _closed_by_server(connection: Connection) -> bool:
    """Whether an idle connection is readable: it becomes so only when the server closes it. Costs no round trip."""
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return bool(poll.poll(0))


async def _configure(connection: Connection, role: RoleCheck) -> None:
    connection.adapters.register_loader("uuid", TextLoader)
    await role.check(connection)

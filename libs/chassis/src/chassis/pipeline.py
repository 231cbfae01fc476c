"""Sends several statements to PostgreSQL in one write, as one transaction, and returns the rows of each.

Uses libpq through psycopg's binding, without psycopg's cursors, pipeline blocks and pool. Price: this module formats parameters,
keeps track of prepared statements after errors, and has a pool of its own. Proof (`docs/adr/0016`): a worker's CPU for a batch of
one command falls from 669 to 409 us, and for large batches by 15 %. `test_pipeline.py` covers errors, lost connections and
cancellation. `postgres` opens the connections and classifies errors.
"""

from __future__ import annotations

import asyncio
import re
import select
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, NamedTuple

import psycopg
from psycopg.adapt import Transformer
from psycopg.errors import error_from_result
from psycopg.pq import ConnStatus, ExecStatus
from psycopg.pq.abc import PGresult

Value = str | bytes | bool | int | float | Sequence[str] | None
"""A parameter. Bytes are in PostgreSQL's text format already."""
Rows = list[tuple[Any, ...]]

_PARAMETER = re.compile(r"%\((\w+)\)s")
_LIFETIME_SECONDS = 3600.0
"""The maximum age of a connection: limits the memory of its plans and follows changes of the server's address."""
_FAILED = int(ExecStatus.FATAL_ERROR)
_SYNCED = int(ExecStatus.PIPELINE_SYNC)


class Query(NamedTuple):
    """A statement and its parameters, encoded."""

    statement: Statement
    parameters: Sequence[bytes | None]


class Statement:
    """SQL that each connection prepares once. Parameters are written `%(name)s`; the server infers their types.

    Create statements as module constants: connections never forget them.
    """

    def __init__(self, sql: str) -> None:
        numbers: dict[str, int] = {}
        self.text = _PARAMETER.sub(lambda found: f"${numbers.setdefault(found[1], len(numbers) + 1)}", sql).encode()
        self._names = tuple(numbers)

    def query(self, parameters: Mapping[str, Value]) -> Query:
        """The statement with parameters. Raises `psycopg.DataError` for a text with NUL."""
        return Query(self, [encoded(parameters[name]) for name in self._names])


def encoded(value: Value) -> bytes | None:
    """A value in PostgreSQL's text format. Raises as `Statement.query`."""
    if value is None or isinstance(value, bytes):
        return value
    if isinstance(value, str):
        if "\x00" in value:
            raise psycopg.DataError("a text cannot contain NUL")
        return value.encode()
    if isinstance(value, bool):
        return b"t" if value else b"f"
    if isinstance(value, int | float):
        return repr(value).encode()
    return encoded("{" + ",".join(map(_quoted, value)) + "}")


def bytea(value: bytes | None) -> bytes | None:
    """Bytes as a parameter of the type `bytea`."""
    return None if value is None else b"\\x" + value.hex().encode()


def _quoted(element: str) -> str:
    return '"' + element.replace("\\", "\\\\").replace('"', '\\"') + '"'


_SET_SESSION = Statement("""
SELECT set_config('hubbub.tenants', %(tenants)s::text[]::text, false), set_config('lock_timeout', %(lock_milliseconds)s, false)
""")


def _set_session(tenants: list[str], lock_seconds: float) -> Query:
    return _SET_SESSION.query({"tenants": tenants, "lock_milliseconds": str(round(lock_seconds * 1000))})


class Pipeline:
    """A connection in pipeline mode, for one caller at a time. Closed when it fails, is too old, or its caller is cancelled.

    Its socket stays registered with the event loop: registering it for each batch would cost four system calls.
    """

    def __init__(self, connection: psycopg.AsyncConnection[Any]) -> None:
        self._loop = asyncio.get_running_loop()
        self._connection = connection
        """Owns `_pgconn`; otherwise unused."""
        self._pgconn = connection.pgconn
        self._socket = self._pgconn.socket
        self._transformer = Transformer(connection)
        self._names: dict[Statement, bytes] = {}
        """Names of the statements that the server has prepared, or is being asked to prepare."""
        self._last_name = 0
        self._session: tuple[list[str], float] | None = None
        """The tenants and the lock timeout set in the session; None when unknown."""
        self._sent: list[tuple[Statement, bytes | None]] = []
        """Requests awaiting a result: a prepare when there is a name, otherwise an execution."""
        self._results: list[PGresult] = []
        self._done: asyncio.Future[None] | None = None
        """Resolved once all results have arrived; None while no caller waits."""
        self._expires_at = self._loop.time() + _LIFETIME_SECONDS
        self.closed = False
        self._readable = select.poll()
        self._readable.register(self._socket, select.POLLIN)
        self._pgconn.enter_pipeline_mode()
        self._loop.add_reader(self._socket, self._read)

    def is_usable(self) -> bool:
        """Whether the connection is neither too old nor closed by the server. Closes it otherwise.

        An idle connection becomes readable only when the server closes it, so this costs no round trip.
        """
        if self._loop.time() >= self._expires_at or (not self.closed and self._readable.poll(0)):
            self.close()
        return not self.closed

    def close(self) -> None:
        """Close the connection. The server rolls back a transaction that was not completely sent."""
        if not self.closed:
            self.closed = True
            self._loop.remove_reader(self._socket)
            self._loop.remove_writer(self._socket)
            self._pgconn.finish()

    async def run(self, tenants: list[str], queries: Sequence[Query], lock_seconds: float, deadline: float) -> list[Rows]:
        """Execute `queries` in one transaction with access to the rows of `tenants` only; `deadline` is in the loop's time.

        All statements before the Sync that ends a pipeline form a transaction, without BEGIN and COMMIT (PostgreSQL's manual,
        "Message Flow", Pipelining). Raises the `psycopg.Error` of the first statement that failed, with nothing stored, or of a
        lost connection, when it is unknown whether the transaction was committed. Cancelling the caller closes the connection.
        """
        wanted = tenants, lock_seconds
        is_set = wanted == self._session
        self._session = None  # a rollback would undo the setting
        self._done = self._loop.create_future()
        timer = self._loop.call_at(deadline, self._lost, psycopg.OperationalError("no answer before the deadline"))
        try:
            self._send(queries if is_set else [_set_session(tenants, lock_seconds), *queries])
            await self._done
        except BaseException:  # cancelled, too
            self.close()
            raise
        finally:
            timer.cancel()
            self._done = None
        found = [self._rows(answer) for answer in self._executed()]
        self._session = wanted
        return found if is_set else found[1:]

    def _send(self, queries: Sequence[Query]) -> None:
        self._sent, self._results = [], []
        for statement, parameters in queries:
            name = self._names.get(statement)
            if name is None:
                self._last_name += 1
                name = self._names[statement] = b"%d" % self._last_name
                self._pgconn.send_prepare(name, statement.text)
                self._sent.append((statement, name))
            self._pgconn.send_query_prepared(name, parameters)
            self._sent.append((statement, None))
        self._pgconn.pipeline_sync()
        if self._pgconn.flush():
            self._loop.add_writer(self._socket, self._write)

    def _write(self) -> None:
        """Send more data (called by the event loop)."""
        try:
            if not self._pgconn.flush():
                self._loop.remove_writer(self._socket)
        except psycopg.Error as error:
            self._lost(error)

    def _read(self) -> None:
        """Receive results (called by the event loop)."""
        if self._done is None or self._done.done():  # no caller waits: the server has closed the connection
            self.close()
            return
        try:
            self._pgconn.consume_input()
            while not self._pgconn.is_busy():
                result = self._pgconn.get_result()
                if result is not None and result.status == _SYNCED:
                    self._done.set_result(None)
                    return
                if result is not None:
                    self._results.append(result)
                elif self._pgconn.status == ConnStatus.BAD:  # otherwise None ends the results of one statement
                    raise psycopg.OperationalError("the connection is lost")
        except psycopg.Error as error:
            self._lost(error)

    def _lost(self, error: psycopg.Error) -> None:
        self.close()
        if self._done is not None and not self._done.done():
            self._done.set_exception(error)

    def _executed(self) -> list[PGresult]:
        """The results of the executions. Raises the first error."""
        executed = []
        for n, answer in enumerate(self._results):
            if answer.status == _FAILED:
                for statement, name in self._sent[n:]:  # the server has skipped everything after the error
                    if name is not None:
                        del self._names[statement]
                raise error_from_result(answer)
            if self._sent[n][1] is None:
                executed.append(answer)
        return executed

    def _rows(self, answer: PGresult) -> Rows:
        if not answer.nfields:
            return []
        self._transformer.set_pgresult(answer)
        return self._transformer.load_rows(0, answer.ntuples, tuple)


class Pipelines:
    """A pool of pipelines, opened when needed."""

    def __init__(self, connect: Callable[[], Awaitable[psycopg.AsyncConnection[Any]]], size: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._connect = connect
        self._places: list[Pipeline | None] = [None] * size
        """Idle pipelines, and None for each that may still be opened. The last one used is used first, so that few stay warm."""
        self._freed = asyncio.Event()

    async def run(self, tenants: list[str], queries: Sequence[Query], lock_seconds: float, seconds: float) -> list[Rows]:
        """Run `queries` on a free pipeline within `seconds`. Raises as `Pipeline.run`, and `TimeoutError`."""
        deadline = self._loop.time() + seconds
        while not self._places:
            self._freed.clear()
            async with asyncio.timeout_at(deadline):
                await self._freed.wait()
        pipeline = self._places.pop()
        try:
            if pipeline is None or not pipeline.is_usable():
                async with asyncio.timeout_at(deadline):
                    pipeline = Pipeline(await self._connect())
            return await pipeline.run(tenants, queries, lock_seconds, deadline)
        finally:
            self._places.append(None if pipeline is None or pipeline.closed else pipeline)
            self._freed.set()

    def close(self) -> None:
        """Close all idle pipelines."""
        for pipeline in self._places:
            if pipeline is not None:
                pipeline.close()

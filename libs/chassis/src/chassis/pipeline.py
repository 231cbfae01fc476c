"""Sends statements to PostgreSQL in one write, as one transaction, and returns each one's rows.

For the way that every message takes: psycopg's cursors, pipeline blocks and pool cost a batch of one more processor time than all
else that was done for it (`docs/adr/0016`). So this speaks to libpq itself, through psycopg's binding: what is sent are prepared
statements, what waits is one future. `postgres` opens the connections, says whose rows they may touch, and tells failures apart.
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
"""Of a parameter; bytes are spelled for PostgreSQL already."""
Rows = list[tuple[Any, ...]]

_PARAMETER = re.compile(r"%\((\w+)\)s")
_LIFETIME_SECONDS = 3600.0
"""A connection is not used for longer: neither its plans' memory nor where a name once led stays for ever."""
_FAILED = int(ExecStatus.FATAL_ERROR)
_SYNCED = int(ExecStatus.PIPELINE_SYNC)


class Query(NamedTuple):
    """A statement and its parameters, spelled."""

    statement: Statement
    parameters: Sequence[bytes | None]


class Statement:
    """SQL that each connection prepares once. Parameters are written `%(name)s`; their types are what the SQL makes of them.

    Made once, by a module, and as long-lived.
    """

    def __init__(self, sql: str) -> None:
        numbers: dict[str, int] = {}
        self.text = _PARAMETER.sub(lambda found: f"${numbers.setdefault(found[1], len(numbers) + 1)}", sql).encode()
        self._names = tuple(numbers)

    def query(self, parameters: Mapping[str, Value]) -> Query:
        """The statement, to be sent with these. Raises `psycopg.DataError` for what no text of PostgreSQL's can hold."""
        return Query(self, [encoded(parameters[name]) for name in self._names])


def encoded(value: Value) -> bytes | None:
    """A value in PostgreSQL's text format. Raises as `Statement.query`."""
    if value is None or isinstance(value, bytes):
        return value
    if isinstance(value, str):
        if "\x00" in value:
            raise psycopg.DataError("a text has no NUL")
        return value.encode()
    if isinstance(value, bool):
        return b"t" if value else b"f"
    if isinstance(value, int | float):
        return repr(value).encode()
    return encoded("{" + ",".join(map(_quoted, value)) + "}")


def _quoted(element: str) -> str:
    return '"' + element.replace("\\", "\\\\").replace('"', '\\"') + '"'


_TELL = Statement("""
SELECT set_config('hubbub.tenants', %(tenants)s::text[]::text, false), set_config('lock_timeout', %(lock_milliseconds)s, false)
""")


def _tell(tenants: list[str], lock_seconds: float) -> Query:
    return _TELL.query({"tenants": tenants, "lock_milliseconds": str(round(lock_seconds * 1000))})


class Pipeline:
    """A connection in pipeline mode, used by one caller at a time until it is lost, old, or left before all was answered.

    Its socket is watched for as long as it lives: beginning and ending to watch would cost every batch four system calls.
    """

    def __init__(self, connection: psycopg.AsyncConnection[Any]) -> None:
        self._loop = asyncio.get_running_loop()
        self._connection = connection
        """What owns `_pgconn`; not used besides."""
        self._pgconn = connection.pgconn
        self._socket = self._pgconn.socket
        self._transformer = Transformer(connection)
        self._names: dict[Statement, bytes] = {}
        """Under which the server has prepared statements, or is about to."""
        self._named = 0
        self._told: tuple[list[str], float] | None = None
        """The tenants, and the seconds to wait for a lock, that the session was told."""
        self._sent: list[tuple[Statement, bytes | None]] = []
        """What is to be answered; to be prepared where there is a name, else to be executed."""
        self._answers: list[PGresult] = []
        self._answered: asyncio.Future[None] | None = None
        """None while nobody waits."""
        self._until = self._loop.time() + _LIFETIME_SECONDS
        self.closed = False
        self._farewell = select.poll()
        self._farewell.register(self._socket, select.POLLIN)
        self._pgconn.enter_pipeline_mode()
        self._loop.add_reader(self._socket, self._read)

    def still_up(self) -> bool:
        """Whether it can be used again. It cannot once it is old, or once the server has hung up while it lay idle.

        That is found out without asking the server: nobody has asked it, so anything that there is to read is its farewell.
        """
        if self._loop.time() >= self._until or (not self.closed and self._farewell.poll(0)):
            self.close()
        return not self.closed

    def close(self) -> None:
        """Hang up. Of what was not sent to its end the server keeps nothing."""
        if not self.closed:
            self.closed = True
            self._loop.remove_reader(self._socket)
            self._loop.remove_writer(self._socket)
            self._pgconn.finish()

    async def run(self, tenants: list[str], queries: Sequence[Query], lock_seconds: float, deadline: float) -> list[Rows]:
        """Carry out `queries` in one transaction, which sees the rows of `tenants` alone; `deadline` is the loop's time.

        There is no BEGIN and no COMMIT to pay for: what is sent before the Sync that ends a pipeline is one transaction by itself
        (PostgreSQL's manual, "Message Flow", Pipelining). Raises `psycopg.Error`: that of the first statement that failed, with
        nothing stored, or that of a lost connection, when it is not known what became of them. Whoever is cancelled loses it.
        """
        wanted = tenants, lock_seconds
        told = wanted == self._told
        self._told = None  # until it is known that this was not rolled back
        self._answered = self._loop.create_future()
        watch = self._loop.call_at(deadline, self._lost, psycopg.OperationalError("no answer in time"))
        try:
            self._send(queries if told else [_tell(tenants, lock_seconds), *queries])
            await self._answered
        except BaseException:  # cancelled, too
            self.close()
            raise
        finally:
            watch.cancel()
            self._answered = None
        found = [self._rows(answer) for answer in self._judged()]
        self._told = wanted
        return found if told else found[1:]

    def _send(self, queries: Sequence[Query]) -> None:
        self._sent, self._answers = [], []
        for statement, parameters in queries:
            name = self._names.get(statement)
            if name is None:
                self._named += 1
                name = self._names[statement] = b"%d" % self._named
                self._pgconn.send_prepare(name, statement.text)
                self._sent.append((statement, name))
            self._pgconn.send_query_prepared(name, parameters)
            self._sent.append((statement, None))
        self._pgconn.pipeline_sync()
        if self._pgconn.flush():
            self._loop.add_writer(self._socket, self._write)

    def _write(self) -> None:
        """Send on (the loop calls this)."""
        try:
            if not self._pgconn.flush():
                self._loop.remove_writer(self._socket)
        except psycopg.Error as error:
            self._lost(error)

    def _read(self) -> None:
        """Take answers in (the loop calls this)."""
        if self._answered is None or self._answered.done():  # nobody waits, so it is the server's farewell
            self.close()
            return
        try:
            self._pgconn.consume_input()
            while not self._pgconn.is_busy():
                answer = self._pgconn.get_result()
                if answer is not None and answer.status == _SYNCED:
                    self._answered.set_result(None)
                    return
                if answer is not None:
                    self._answers.append(answer)
                elif self._pgconn.status == ConnStatus.BAD:  # else that was all for one of them
                    raise psycopg.OperationalError("the connection is lost")
        except psycopg.Error as error:
            self._lost(error)

    def _lost(self, error: psycopg.Error) -> None:
        self.close()
        if self._answered is not None and not self._answered.done():
            self._answered.set_exception(error)

    def _judged(self) -> list[PGresult]:
        """The answers to what was executed. Raises what the server refused."""
        executed = []
        for n, answer in enumerate(self._answers):
            if answer.status == _FAILED:
                for statement, name in self._sent[n:]:  # what comes after it the server has not looked at
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
    """At most so many pipelines, opened as they are needed."""

    def __init__(self, connect: Callable[[], Awaitable[psycopg.AsyncConnection[Any]]], most: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._connect = connect
        self._places: list[Pipeline | None] = [None] * most
        """Idle ones, and None for one that may be opened. What was used last is used first, so that few of them stay warm."""
        self._freed = asyncio.Event()

    async def run(self, tenants: list[str], queries: Sequence[Query], lock_seconds: float, seconds: float) -> list[Rows]:
        """Have one that is free `run` them within `seconds`. Also raises `TimeoutError`, `psycopg.Error` if none connects."""
        deadline = self._loop.time() + seconds
        while not self._places:
            self._freed.clear()
            async with asyncio.timeout_at(deadline):
                await self._freed.wait()
        pipeline = self._places.pop()
        try:
            if pipeline is None or not pipeline.still_up():
                async with asyncio.timeout_at(deadline):
                    pipeline = Pipeline(await self._connect())
            return await pipeline.run(tenants, queries, lock_seconds, deadline)
        finally:
            self._places.append(None if pipeline is None or pipeline.closed else pipeline)
            self._freed.set()

    def close(self) -> None:
        """Hang up where nobody waits for an answer."""
        for pipeline in self._places:
            if pipeline is not None:
                pipeline.close()

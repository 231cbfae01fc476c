"""Two PostgreSQL servers behind one address, for tests: a primary, and a streaming standby that replaces it.

Replication is synchronous, so committed transactions survive a fail-over. A standby that was told to `fall_behind` loses them.
"""

import asyncio
import contextlib
import shutil
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path

import psycopg

from stack import ports
from stack.errors import NotReadyError
from stack.postgres import Postgres, environment, program
from stack.process import spawn, stop, tail, until_ready

_READY_SECONDS = 30.0
_POLL_SECONDS = 0.02
_SYNCHRONOUS_STANDBYS = "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming' AND sync_state = 'sync'"


@dataclass(slots=True)
class _Running:
    """A server and its process."""

    server: Postgres
    process: asyncio.subprocess.Process


class Pair:
    """A primary and its standby. The address of the primary never changes."""

    def __init__(self, data: Path, log: Path) -> None:
        self._data = data
        self._log = log
        """Log file of both servers."""
        self._generation = 0
        """Number of the latest standby's folder."""
        self._running: list[_Running] = []
        """The primary, then the standby, if running."""

    @property
    def primary(self) -> Postgres:
        """The current primary. Its port and passwords never change."""
        return self._running[0].server

    @property
    def pids(self) -> list[int]:
        """The pids of the primary and the standby."""
        return [each.process.pid for each in self._running]

    async def fall_behind(self) -> None:
        """Stop replication: the standby will lack every later commit, and no commit waits for it."""
        primary, standby = (each.server for each in self._running)
        async with await self._connect(primary) as admin:
            await admin.execute("ALTER SYSTEM RESET synchronous_standby_names")
            await admin.execute("SELECT pg_reload_conf()")
        async with await self._connect(standby) as admin:
            await admin.execute("ALTER SYSTEM SET primary_conninfo = ''")
            await admin.execute("SELECT pg_reload_conf()")
            async with asyncio.timeout(_READY_SECONDS):
                while await (await admin.execute("SELECT count(*) FROM pg_stat_wal_receiver")).fetchone() != (0,):
                    await asyncio.sleep(_POLL_SECONDS)

    async def fail_over(self, promoted: Callable[[Postgres], Awaitable[None]] | None = None) -> None:
        """Kill the primary, promote the standby and give it the address. There is no standby until `add_standby`.

        `promoted` is called with the new primary before it has the address: no client has changed anything in it yet.
        """
        primary, standby = self._running
        primary.process.send_signal(signal.SIGKILL)
        await primary.process.wait()
        async with await self._connect(standby.server) as admin:
            await admin.execute("ALTER SYSTEM RESET synchronous_standby_names")
            await admin.execute("SELECT pg_promote()")
        if promoted is not None:
            await promoted(standby.server)
        await stop(standby.process, standby.server.command())
        self._running = [await self._start(replace(standby.server, port=primary.server.port))]
        shutil.rmtree(primary.server.folder, ignore_errors=True)

    async def restart(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Stop the primary with a signal and start it again. The standby reconnects by itself."""
        ended = self._running[0]
        ended.process.send_signal(number)
        await ended.process.wait()
        self._running[0] = await self._start(ended.server)

    async def add_standby(self) -> None:
        """Start a new standby, and return once every commit waits for it."""
        self._generation += 1
        primary = self.primary
        folder = self._data / f"standby-{self._generation}"
        standby = replace(primary, folder=folder, port=ports.free()[0])
        folder.mkdir(mode=0o700)
        primary.identity.own(folder)
        await self._copy(primary, folder)
        self._running.append(await self._start(standby))
        async with await self._connect(primary) as admin:
            await admin.execute("ALTER SYSTEM SET synchronous_standby_names = '*'")
            await admin.execute("SELECT pg_reload_conf()")
            async with asyncio.timeout(_READY_SECONDS):
                while await (await admin.execute(_SYNCHRONOUS_STANDBYS)).fetchone() != (1,):
                    await asyncio.sleep(_POLL_SECONDS)

    async def _copy(self, primary: Postgres, folder: Path) -> None:
        source = primary.url("postgres", "postgres")
        with self._log.open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                str(program("pg_basebackup")),
                *("-d", source, "-D", str(folder), "-R", "-c", "fast"),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                env=environment(),
                preexec_fn=primary.identity.enter,
                **primary.identity.options(),
            )
            async with asyncio.timeout(_READY_SECONDS):
                status = await process.wait()
            if status:
                raise NotReadyError("pg_basebackup", f"ended with status {process.returncode}", tail(self._log))

    async def _start(self, server: Postgres) -> _Running:
        with self._log.open("ab") as log:
            process = await spawn(server.command(), log)
        try:
            await until_ready(server.command(), process, _READY_SECONDS)
        except BaseException:  # includes cancellation
            await stop(process, server.command())
            raise
        return _Running(server, process)

    async def _connect(self, server: Postgres) -> psycopg.AsyncConnection:
        return await psycopg.AsyncConnection.connect(server.url("postgres", "postgres"), autocommit=True, connect_timeout=5)

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator["Pair"]:
        """Run both inside the block. Raises NotReadyError."""
        self._data.mkdir(mode=0o711, parents=True, exist_ok=True)
        first = Postgres.place(self._data / "primary", self._data / "secrets", ports.free()[0])
        await first.prepare()
        try:
            self._running = [await self._start(first)]
            await self.add_standby()
            yield self
        finally:
            for each in reversed(self._running):
                await stop(each.process, each.server.command())

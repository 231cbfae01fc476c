"""Two PostgreSQL behind one address: a primary, and the streaming standby that takes its place when it dies.

Replication is synchronous, so that what was committed survives: a fail-over to a standby that lags behind loses commits, and
no product above can make that good. For tests; leaves a single server to `postgres`.
"""

import asyncio
import contextlib
import shutil
import signal
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path

import psycopg

from stack import ports
from stack.errors import NotReadyError
from stack.postgres import Postgres, environment, program
from stack.process import spawn, stop, tail, until_ready

_READY_SECONDS = 30.0
_LOOK_SECONDS = 0.02
_IN_STEP = "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming' AND sync_state = 'sync'"


@dataclass(slots=True)
class _Running:
    """A server and its process."""

    server: Postgres
    process: asyncio.subprocess.Process


class Pair:
    """The servers. `primary` answers under one address for ever, whichever of them it is."""

    def __init__(self, data: Path, log: Path) -> None:
        self._data = data
        self._log = log
        """Of both servers."""
        self._generation = 0
        """Number of the standby's folder."""
        self._running: list[_Running] = []
        """The primary, and after it the standby, while each is there."""

    @property
    def primary(self) -> Postgres:
        """The server that answers; its port and passwords are the same for ever."""
        return self._running[0].server

    @property
    def pids(self) -> list[int]:
        """The primary's and the standby's."""
        return [each.process.pid for each in self._running]

    async def fail_over(self) -> None:
        """Kill the primary, promote the standby and give it the address; there is no standby until `mend`."""
        dead, heir = self._running
        dead.process.send_signal(signal.SIGKILL)
        await dead.process.wait()
        async with await self._connect(heir.server) as admin:
            await admin.execute("ALTER SYSTEM RESET synchronous_standby_names")
            await admin.execute("SELECT pg_promote()")
        await stop(heir.process, heir.server.command())
        self._running = [await self._start(replace(heir.server, port=dead.server.port))]
        shutil.rmtree(dead.server.folder, ignore_errors=True)

    async def restart(self, number: signal.Signals = signal.SIGKILL) -> None:
        """End the primary by a signal and start it again; the standby finds it back by itself."""
        ended = self._running[0]
        ended.process.send_signal(number)
        await ended.process.wait()
        self._running[0] = await self._start(ended.server)

    async def mend(self) -> None:
        """Give the primary a new standby, and return once every commit waits for it."""
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
                while await (await admin.execute(_IN_STEP)).fetchone() != (1,):
                    await asyncio.sleep(_LOOK_SECONDS)

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
        except BaseException:  # cancelled, too
            await stop(process, server.command())
            raise
        return _Running(server, process)

    async def _connect(self, server: Postgres) -> psycopg.AsyncConnection:
        return await psycopg.AsyncConnection.connect(server.url("postgres", "postgres"), autocommit=True, connect_timeout=5)

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator["Pair"]:
        """Run both for the length of the block. Raises NotReadyError."""
        self._data.mkdir(mode=0o711, parents=True, exist_ok=True)
        first = Postgres.place(self._data / "primary", self._data / "secrets", ports.free()[0])
        await first.prepare()
        try:
            self._running = [await self._start(first)]
            await self.mend()
            yield self
        finally:
            for each in reversed(self._running):
                await stop(each.process, each.server.command())

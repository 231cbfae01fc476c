"""Supervises processes: starts them, restarts them when they die, and stops them in order."""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from chassis.backoff import Backoff
from stack.console import Console
from stack.errors import NotReadyError
from stack.process import Command, spawn, stop, tail

_STABLE_SECONDS = 5.0
"""After running this long, a process restarts without backoff."""
_MAX_FAILED_STARTS = 4
_PROBE_INTERVAL_SECONDS = 0.02


@dataclass(slots=True)
class _Supervised:
    """A supervised process."""

    command: Command
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the process must not be restarted."""
    process: asyncio.subprocess.Process | None = None
    """The current or the last process."""
    starts: int = 0
    """Number of starts."""
    task: asyncio.Task[None] | None = None
    """Restarts the process."""


class Supervisor:
    """Supervises groups of processes. Leaving the block stops them all.

    A process that dies is restarted within a tenth of a second; if it keeps dying, after a pause of at most one second.
    Groups stop in reverse order of their launch, the members of a group at the same time.
    """

    def __init__(self, console: Console, changed: Callable[[Mapping[str, int]], None], logs: Path) -> None:
        self._console = console
        self._changed = changed
        """Called after each start, with the latest pid of every process."""
        self._logs = logs
        """Folder of the log files of quiet processes."""
        self._groups: list[list[_Supervised]] = []
        """In order of launch."""
        self._tasks = asyncio.TaskGroup()
        """Contains a task per process."""

    async def __aenter__(self) -> Self:
        """Start without processes."""
        await self._tasks.__aenter__()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Stop everything."""
        await self.stop()
        await self._tasks.__aexit__(None, None, None)

    def launch(self, commands: Iterable[Command]) -> None:
        """Start supervising a group of processes. Returns at once."""
        group = [_Supervised(command) for command in commands]
        self._groups.append(group)
        for each in group:
            self._log(each.command).unlink(missing_ok=True)  # the log covers one run with all its restarts
            each.task = self._tasks.create_task(self._supervise(each), name=each.command.name)

    async def until_ready(self, timeout_seconds: float) -> None:
        """Wait until every process is ready.

        Raises NotReadyError if a process keeps dying first, or after `timeout_seconds`.
        """
        deadline = time.monotonic() + timeout_seconds
        # They start concurrently, so waiting one by one takes no longer. A task group would wrap the error.
        for each in [each for group in self._groups for each in group]:
            await self._until_ready(each, deadline)

    async def run_once(self, command: Command, timeout_seconds: float) -> None:
        """Run a command until it ends. Raises NotReadyError if it fails or takes too long."""
        process, printing = await self._spawn(command)
        try:
            async with asyncio.timeout(timeout_seconds):
                status = await process.wait()
        except TimeoutError:
            raise NotReadyError(command.name, f"did not end within {timeout_seconds:g} s") from None
        finally:
            await stop(process, command)
            await _drain_output(printing)
        if status != 0:
            raise NotReadyError(command.name, _describe(status))

    async def stop(self) -> None:
        """Stop everything, the last group first."""
        while self._groups:
            group = self._groups.pop()
            await asyncio.gather(*map(self._stop, group))

    async def _supervise(self, supervised: _Supervised) -> None:
        backoff = Backoff()
        while not supervised.stopping.is_set():
            began = time.monotonic()
            status = await self._run(supervised)
            if supervised.stopping.is_set():
                return
            if time.monotonic() - began >= _STABLE_SECONDS:
                backoff.succeeded()
            self._console.line(supervised.command.name, f"{_describe(status)}; restarting it")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(backoff.failed()):
                    await supervised.stopping.wait()

    async def _run(self, supervised: _Supervised) -> int:
        """Run the process once and return its exit status."""
        supervised.starts += 1
        try:
            supervised.process, printing = await self._spawn(supervised.command)
        except OSError as error:
            self._console.line(supervised.command.name, f"cannot be started: {error.strerror}")
            return 127
        self._report()
        if supervised.stopping.is_set():
            await stop(supervised.process, supervised.command)
        status = await supervised.process.wait()
        await _drain_output(printing)
        return status

    async def _spawn(self, command: Command) -> tuple[asyncio.subprocess.Process, asyncio.Task[None] | None]:
        """Start a process and, unless it is quiet, the task that prints its output. Raises OSError."""
        if command.quiet:
            with self._log(command).open("ab") as output:
                return await spawn(command, output), None
        read, write = os.pipe()
        printing = self._tasks.create_task(self._console.follow(command.name, os.fdopen(read, "rb")))
        try:
            return await spawn(command, write), printing
        finally:
            os.close(write)

    async def _until_ready(self, supervised: _Supervised, deadline: float) -> None:
        while time.monotonic() < deadline:
            if supervised.starts > _MAX_FAILED_STARTS:
                raise NotReadyError(supervised.command.name, "keeps dying", self._log_tail(supervised.command))
            if supervised.process is not None and supervised.process.returncode is None and await supervised.command.ready():
                return
            await asyncio.sleep(_PROBE_INTERVAL_SECONDS)
        raise NotReadyError(supervised.command.name, "did not become ready in time", self._log_tail(supervised.command))

    async def _stop(self, supervised: _Supervised) -> None:
        supervised.stopping.set()
        if supervised.process is not None:
            await stop(supervised.process, supervised.command)
        if supervised.task is not None:
            await asyncio.wait([supervised.task])

    def _report(self) -> None:
        running = (supervised for group in self._groups for supervised in group)
        self._changed(
            {supervised.command.name: supervised.process.pid for supervised in running if supervised.process is not None}
        )

    def _log(self, command: Command) -> Path:
        return self._logs / f"{command.name}.log"

    def _log_tail(self, command: Command) -> str:
        return tail(self._log(command)) if command.quiet else ""


async def _drain_output(printing: asyncio.Task[None] | None) -> None:
    """Print the last output of a process that has ended. Wait at most a second: a grandchild may hold the pipe open."""
    if printing is not None:
        await asyncio.wait([printing], timeout=1.0)
        printing.cancel()


def _describe(status: int) -> str:
    if status < 0:
        return f"was killed by {signal.Signals(-status).name}"
    return f"ended with status {status}"

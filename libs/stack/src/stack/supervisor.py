"""Keeps processes running: starts them, starts again whoever dies, ends them in order.

Leaves which processes there are to `product`, and how one is born and ended to `process`.
"""

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

from stack.console import Console
from stack.errors import NotReadyError
from stack.process import Command, spawn, stop, tail

_FIRST_DELAY_SECONDS = 0.05
_LONGEST_DELAY_SECONDS = 1.0
_STEADY_SECONDS = 5.0
_FUTILE_STARTS = 4
_PROBE_INTERVAL_SECONDS = 0.02


@dataclass(slots=True)
class _Kept:
    """One process that is to be running."""

    command: Command
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when it is no longer to be running."""
    process: asyncio.subprocess.Process | None = None
    """The one running, or the last that ran."""
    starts: int = 0
    """How often it was started."""
    task: asyncio.Task[None] | None = None
    """Keeps it."""


class Supervisor:
    """Keeps the processes that it is given; an async context manager, whose end ends them all.

    A process that dies is started again within a tenth of a second, and after at most a second's pause when it keeps
    dying. Groups end in the reverse order of their launch, the members of a group at the same time.
    """

    def __init__(self, console: Console, changed: Callable[[Mapping[str, int]], None], logs: Path) -> None:
        self._console = console
        """Prints what processes say."""
        self._changed = changed
        """Told the pid of every process's latest start, after each start."""
        self._logs = logs
        """Folder of the files that quiet processes write to."""
        self._groups: list[list[_Kept]] = []
        """In the order of launch."""
        self._tasks = asyncio.TaskGroup()
        """Owns one task for each process."""

    async def __aenter__(self) -> Self:
        """Begin with nothing to keep."""
        await self._tasks.__aenter__()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """End everything, whatever led here."""
        await self.stop()
        await self._tasks.__aexit__(None, None, None)

    def launch(self, commands: Iterable[Command]) -> None:
        """Begin to keep a group of processes; returns at once."""
        group = [_Kept(command) for command in commands]
        self._groups.append(group)
        for kept in group:
            self._log(kept.command).unlink(missing_ok=True)  # one run's output, all its restarts included
            kept.task = self._tasks.create_task(self._keep(kept), name=kept.command.name)

    async def until_ready(self, timeout_seconds: float) -> None:
        """Return when every process serves.

        Raises NotReadyError when one dies several times before it does, or takes longer than `timeout_seconds`.
        """
        kept = [kept for group in self._groups for kept in group]
        deadline = time.monotonic() + timeout_seconds
        # Gathering by a task group would wrap the error; one after the other is as fast, for all start on their own.
        for one in kept:
            await self._until_serving(one, deadline)

    async def run_once(self, command: Command, timeout_seconds: float) -> None:
        """Run a command that ends by itself. Raises NotReadyError when it fails or takes too long."""
        process, printing = await self._spawn(command)
        try:
            async with asyncio.timeout(timeout_seconds):
                status = await process.wait()
        except TimeoutError:
            raise NotReadyError(command.name, f"did not end within {timeout_seconds:g} s") from None
        finally:
            await stop(process, command)
            await _rest_of(printing)
        if status != 0:
            raise NotReadyError(command.name, _describe(status))

    async def stop(self) -> None:
        """End everything, last launched first."""
        while self._groups:
            group = self._groups.pop()
            await asyncio.gather(*map(self._end, group))

    async def _keep(self, kept: _Kept) -> None:
        delay = _FIRST_DELAY_SECONDS
        while not kept.stopping.is_set():
            began = time.monotonic()
            status = await self._run(kept)
            if kept.stopping.is_set():
                return
            if time.monotonic() - began >= _STEADY_SECONDS:
                delay = _FIRST_DELAY_SECONDS
            self._console.line(kept.command.name, f"{_describe(status)}; starting it again")
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(delay):
                    await kept.stopping.wait()
            delay = min(delay * 2, _LONGEST_DELAY_SECONDS)

    async def _run(self, kept: _Kept) -> int:
        """Run the process once, from birth to death, and return its status."""
        kept.starts += 1
        try:
            kept.process, printing = await self._spawn(kept.command)
        except OSError as error:
            self._console.line(kept.command.name, f"cannot be started: {error.strerror}")
            return 127
        self._report()
        if kept.stopping.is_set():
            await stop(kept.process, kept.command)
        status = await kept.process.wait()
        await _rest_of(printing)
        return status

    async def _spawn(self, command: Command) -> tuple[asyncio.subprocess.Process, asyncio.Task[None] | None]:
        """Start a process, and the task that prints what it says unless that goes to a file. Raises OSError."""
        if command.quiet:
            with self._log(command).open("ab") as output:
                return await spawn(command, output), None
        read, write = os.pipe()
        printing = self._tasks.create_task(self._console.follow(command.name, os.fdopen(read, "rb")))
        try:
            return await spawn(command, write), printing
        finally:
            os.close(write)

    async def _until_serving(self, kept: _Kept, deadline: float) -> None:
        while time.monotonic() < deadline:
            if kept.starts > _FUTILE_STARTS:
                raise NotReadyError(kept.command.name, "keeps dying", self._end_of_log(kept.command))
            if kept.process is not None and kept.process.returncode is None and await kept.command.ready():
                return
            await asyncio.sleep(_PROBE_INTERVAL_SECONDS)
        raise NotReadyError(kept.command.name, "did not become ready in time", self._end_of_log(kept.command))

    async def _end(self, kept: _Kept) -> None:
        kept.stopping.set()
        if kept.process is not None:
            await stop(kept.process, kept.command)
        if kept.task is not None:
            await asyncio.wait([kept.task])

    def _report(self) -> None:
        running = (kept for group in self._groups for kept in group)
        self._changed({kept.command.name: kept.process.pid for kept in running if kept.process is not None})

    def _log(self, command: Command) -> Path:
        return self._logs / f"{command.name}.log"

    def _end_of_log(self, command: Command) -> str:
        return tail(self._log(command)) if command.quiet else ""


async def _rest_of(printing: asyncio.Task[None] | None) -> None:
    """Let a process that has ended have its last word; but a grandchild may hold its output open."""
    if printing is not None:
        await asyncio.wait([printing], timeout=1.0)
        printing.cancel()


def _describe(status: int) -> str:
    if status < 0:
        return f"was ended by {signal.Signals(-status).name}"
    return f"ended with status {status}"

"""A child process from birth to end: its command, its user, its death with its parent.

Leaves to others which commands there are (the server modules, `product`) and what happens when one dies (`supervisor`).
"""

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from stack.errors import NotReadyError
from stack.identity import Identity

_PR_SET_PDEATHSIG = 1
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
_PROBE_INTERVAL_SECONDS = 0.02


Probe = Callable[[], Awaitable[bool]]


async def at_once() -> bool:
    """Say yes: a process that serves from its first moment, or never."""
    return True


@dataclass(frozen=True, slots=True)
class Command:
    """What to run and how to tell that it serves."""

    name: str
    """The process's name in logs and in pids.json."""
    argv: tuple[str, ...]
    """The program, absolute, and its arguments."""
    ready: Probe = at_once
    """True once it serves; asked again and again, so it must be cheap and bounded in time."""
    env: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    """The whole environment of the process."""
    identity: Identity = field(default_factory=Identity)
    """The user that it runs as."""
    stop_signal: signal.Signals = signal.SIGTERM
    """Asks for an orderly end."""
    orphan_signal: signal.Signals = signal.SIGKILL
    """What the kernel sends when the parent is gone."""
    grace_seconds: float = 10.0
    """From `stop_signal` to SIGKILL."""
    quiet: bool = False
    """Its output belongs in a file of its own, to be looked at when something is wrong."""


async def spawn(command: Command, output: int | IO[Any]) -> asyncio.subprocess.Process:
    """Start `command` in a session of its own, so that a terminal's Ctrl-C reaches only the supervisor.

    Stdout and stderr both go to `output`, a file or the end of a pipe (not one of asyncio's: its `wait` would wait for
    every grandchild that holds the pipe open, too). The child dies with the calling thread, which must therefore be one that
    lives as long as the program (PR_SET_PDEATHSIG follows threads, see prctl(2)).
    Raises OSError when the program cannot be started.
    """
    return await asyncio.create_subprocess_exec(
        *command.argv,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=output,
        stderr=asyncio.subprocess.STDOUT,
        env=dict(command.env),
        cwd="/",
        start_new_session=True,
        preexec_fn=_birth(command, os.getpid()),
        **command.identity.options(),
    )


async def stop(process: asyncio.subprocess.Process, command: Command) -> None:
    """Ask the process to end, and insist after `grace_seconds`. Returns when it has ended; harmless if it already has."""
    if process.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        process.send_signal(command.stop_signal)
    try:
        async with asyncio.timeout(command.grace_seconds):
            await process.wait()
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def until_ready(command: Command, process: asyncio.subprocess.Process, timeout_seconds: float) -> None:
    """Return once `command.ready` says yes.

    Raises NotReadyError when the process ends first or the time runs out.
    """
    try:
        async with asyncio.timeout(timeout_seconds):
            while process.returncode is None:
                if await command.ready():
                    return
                await asyncio.sleep(_PROBE_INTERVAL_SECONDS)
    except TimeoutError:
        raise NotReadyError(command.name, f"did not answer within {timeout_seconds:g} s") from None
    raise NotReadyError(command.name, f"ended with status {process.returncode}")


@contextlib.asynccontextmanager
async def running(command: Command, log: Path, timeout_seconds: float = 30.0) -> AsyncIterator[int]:
    """Run a server for the length of the block: yields its pid once it is ready, stops it afterwards.

    Its output is written to the file `log`, whose end is quoted when it does not become ready (NotReadyError).
    """
    with log.open("wb") as output:
        process = await spawn(command, output)
    try:
        await until_ready(command, process, timeout_seconds)
        yield process.pid
    except NotReadyError as error:
        raise NotReadyError(error.name, error.problem, tail(log)) from None
    finally:
        await stop(process, command)


def tail(log: Path, lines: int = 15) -> str:
    """Return the last lines of a log file, for an error message; nothing when there is no file."""
    if not log.exists():
        return ""
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])


def _birth(command: Command, parent: int) -> Callable[[], None]:
    """Return what the child does between fork and exec, after its user was changed."""

    def birth() -> None:
        command.identity.enter()
        if _LIBC is None:
            return
        # After the change of user, which clears it; and the parent may have died before it was set.
        _LIBC.prctl(_PR_SET_PDEATHSIG, int(command.orphan_signal), 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)

    return birth


def end_with_parent() -> None:
    """Make this process receive SIGTERM when its parent ends, so that a killed `make` does not leave a stack behind."""
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)

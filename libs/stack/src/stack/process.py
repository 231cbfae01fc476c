"""Starts and stops child processes, which die with their parent. `supervisor` restarts them."""

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


async def always_ready() -> bool:
    """Return True, for processes without a readiness check."""
    return True


@dataclass(frozen=True, slots=True)
class Command:
    """A command to run, and its readiness check."""

    name: str
    """Process name in logs and in pids.json."""
    argv: tuple[str, ...]
    """The program's absolute path and its arguments."""
    ready: Probe = always_ready
    """Returns True once the process is ready. It is polled, so it must be cheap and have a deadline."""
    env: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    """The whole environment of the process."""
    identity: Identity = field(default_factory=Identity)
    """The user to run as."""
    stop_signal: signal.Signals = signal.SIGTERM
    """Requests an orderly shutdown."""
    orphan_signal: signal.Signals = signal.SIGKILL
    """Sent by the kernel when the parent dies."""
    grace_seconds: float = 10.0
    """From `stop_signal` to SIGKILL."""
    quiet: bool = False
    """Write the output to a file instead of the console."""


async def spawn(command: Command, output: int | IO[Any]) -> asyncio.subprocess.Process:
    """Start `command` in its own session, so that Ctrl-C in a terminal reaches only the supervisor.

    Stdout and stderr both go to `output`, a file or the end of a pipe. (With asyncio's own pipes, `wait` would also wait for
    grandchildren that hold the pipe open.) The child dies with the calling thread, so call it from a thread that lives as long
    as the program (PR_SET_PDEATHSIG follows threads, see prctl(2)). Raises OSError if the program cannot be started.
    """
    return await asyncio.create_subprocess_exec(
        *command.argv,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=output,
        stderr=asyncio.subprocess.STDOUT,
        env=dict(command.env),
        cwd="/",
        start_new_session=True,
        preexec_fn=_child_setup(command, os.getpid()),
        **command.identity.options(),
    )


async def stop(process: asyncio.subprocess.Process, command: Command) -> None:
    """Stop the process, with SIGKILL after `grace_seconds`, and wait for its end. Harmless if it has ended."""
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
    """Wait until `command.ready` returns True. Raises NotReadyError if the process ends first, or after the timeout."""
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
    """Run a server inside the block; yield its pid once it is ready.

    Its output goes to the file `log`. Raises NotReadyError, with the end of the log, if it does not become ready.
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
    """Return the last lines of a log file, or empty text without a file."""
    if not log.exists():
        return ""
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])


def _child_setup(command: Command, parent: int) -> Callable[[], None]:
    """Return the function that the child runs between fork and exec, after the change of user."""

    def setup() -> None:
        command.identity.enter()
        if _LIBC is None:
            return
        # Set after the change of user, which clears it. The parent may have died before that.
        _LIBC.prctl(_PR_SET_PDEATHSIG, int(command.orphan_signal), 0, 0, 0)
        if os.getppid() != parent:
            os._exit(1)

    return setup


def end_with_parent() -> None:
    """Send this process SIGTERM when its parent ends, so that a killed `make` leaves no stack running."""
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM), 0, 0, 0)

"""Starts and stops a process. Each service's `app` module provides its `main`.

Secrets leave the environment once they are read, and other processes cannot read this one's memory.

SIGTERM and SIGINT set `stopping`. The process is then no longer ready, and `main` finishes its work in progress and returns.
After the drain time `main` is cancelled; a second signal cancels it at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import enum
import gc
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import TypeVar

import structlog
import uvloop

from chassis import logging, ops
from chassis.config import ConfigError, ProcessConfig, load, secrets
from chassis.errors import HubbubError
from chassis.metrics import DEFECTS, DEPENDENCY_USABLE, READY
from chassis.release import VERSION

ConfigT = TypeVar("ConfigT", bound=ProcessConfig)
log = structlog.get_logger()
_DRAIN_SLACK_SECONDS = 2.0
_READY_SECONDS = 0.5
"""Between two rounds of checks."""
_CHECK_SECONDS = 2.0
"""A check that takes longer has failed."""
_PR_SET_DUMPABLE = 4


class Unusable(Exception):
    """A dependency cannot be used. The message names the cause and the cure in one line, without third-party text."""


Check = Callable[[], Awaitable[object]]
"""Raises `Unusable` or a `HubbubError` while the process cannot use a dependency. Cancelled after two seconds."""
_NO_CHECKS: Mapping[str, Check] = MappingProxyType({})


class State(enum.Enum):
    """Whether the process accepts work; the value is the first line of /readyz."""

    READY = ops.READY
    NOT_READY = "not ready"
    FULL = "full"
    """It has as many clients as it can hold."""
    STOPPING = "stopping"


class Lifecycle:
    """Readiness and shutdown of one process."""

    def __init__(self) -> None:
        self.stopping = asyncio.Event()
        """Set once: finish the work in progress and accept no more."""
        self.full: Callable[[], bool] = lambda: False
        """Whether the process has no room for more clients; set by a process that bounds them."""
        self.causes: dict[str, str] = {}
        """Dependencies that cannot be used, each with its cause."""
        self._ready = False
        self._changed = asyncio.Event()
        """Set, and replaced, when readiness changes or stopping begins."""

    @property
    def ready(self) -> bool:
        """Whether the process accepts work."""
        return self.state is State.READY

    @property
    def state(self) -> State:
        """Whether the process accepts work, and if not, why."""
        if self.stopping.is_set():
            return State.STOPPING
        if not self._ready:
            return State.NOT_READY
        return State.FULL if self.full() else State.READY

    def set_ready(self, ready: bool) -> None:
        """Set whether the process can accept work. A stopping process is never ready."""
        if ready is not self._ready:
            self._ready = ready
            self._announce()
        READY.set(float(self.ready))

    def stop(self) -> None:
        """Begin shutdown."""
        self.stopping.set()
        self._announce()
        READY.set(0.0)

    async def until_ready(self, *, ready: bool = True) -> None:
        """Return once the process is ready, or not ready, as asked; at once when it is stopping."""
        while self._ready is not ready and not self.stopping.is_set():
            await self._changed.wait()

    def report(self) -> str:
        """The body of /readyz: the state, then a line for each dependency that cannot be used."""
        return "\n".join((self.state.value, *(f"{name}: {cause}" for name, cause in self.causes.items())))

    def _announce(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()


async def pause(stopping: asyncio.Event, seconds: float) -> None:
    """Sleep for `seconds`, or until `stopping` is set."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stopping.wait()


async def keep_ready(lifecycle: Lifecycle, needed: Mapping[str, Check], useful: Mapping[str, Check] = _NO_CHECKS) -> None:
    """Check dependencies, by name, twice a second until stopping. The process is ready while it can use all that are `needed`.

    What is `useful` has no influence on readiness. The body of /readyz, the log and a metric name each dependency that cannot be
    used.
    """
    while not lifecycle.stopping.is_set():
        checks = {**needed, **useful}
        found = dict(zip(checks, await asyncio.gather(*map(_cause, checks.values())), strict=True))
        for name, cause in found.items():
            if cause != lifecycle.causes.get(name, ""):
                (log.warning if cause else log.info)(
                    "dependency_unusable" if cause else "dependency_usable", name=name, cause=cause
                )
            DEPENDENCY_USABLE.labels(name).set(not cause)
        lifecycle.causes = {name: cause for name, cause in found.items() if cause}
        before = lifecycle.state
        lifecycle.set_ready(not any(found[name] for name in needed))
        if lifecycle.state is not before:
            log.info("readiness_changed", state=lifecycle.state.value)
        await pause(lifecycle.stopping, _READY_SECONDS)


async def _cause(check: Check) -> str:
    """Why the check fails; empty if it does not."""
    try:
        async with asyncio.timeout(_CHECK_SECONDS):
            await check()
    except Unusable as error:
        return str(error)
    except HubbubError as error:
        return error.detail
    except TimeoutError:
        return f"it does not answer within {_CHECK_SECONDS:g} s"
    return ""


_GC_THRESHOLDS = (10_000, 20, 50)
"""With Python's default of 700, the collector runs a hundred times a second under load and finds no cycles."""
Main = Callable[[ConfigT, Lifecycle], Awaitable[None]]


def run(config_type: type[ConfigT], main: Main[ConfigT]) -> None:
    """Read the settings, run `main` until it returns, and exit. Exit code 2: invalid settings; 1: failed or cancelled."""
    try:
        config = load(config_type, os.environ)
    except ConfigError as error:
        sys.exit(_refuse(error))
    hide_memory()
    for name in secrets(config_type):
        os.environ.pop(name, None)  # not inherited by a process that this one starts
    logging.configure(config)
    gc.freeze()  # imported modules are never garbage
    gc.set_threshold(*_GC_THRESHOLDS)
    sys.exit(uvloop.run(_run_main(config, main)))


def hide_memory() -> None:
    """Deny other processes of this user our memory and /proc/<pid>/environ, and write no core dumps."""
    if sys.platform == "linux" and ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) < 0:
        raise OSError(ctypes.get_errno(), "PR_SET_DUMPABLE")


def _refuse(error: ConfigError) -> int:
    for problem in error.problems:
        sys.stderr.write(f"{problem}\n")
    return 2


async def _run_main(config: ConfigT, main: Main[ConfigT]) -> int:
    lifecycle = Lifecycle()
    task = asyncio.ensure_future(_with_ops(config, lifecycle, main))
    loop = asyncio.get_running_loop()

    def on_signal(name: str) -> None:
        if lifecycle.stopping.is_set():
            task.cancel()
            return
        log.info("stop_requested", signal=name)
        lifecycle.stop()
        loop.call_later(config.drain_seconds + _DRAIN_SLACK_SECONDS, task.cancel)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, number.name)
    try:
        await task
    except asyncio.CancelledError:
        log.warning("stop_forced")
        return 1
    except ConfigError as error:  # a store's
        return _refuse(error)
    except Exception as error:  # the outermost handler
        DEFECTS.labels("process").inc()
        log.exception("process_failed", error=type(error).__name__)
        return 1
    log.info("process_stopped")
    return 0


async def _with_ops(config: ConfigT, lifecycle: Lifecycle, main: Main[ConfigT]) -> None:
    if config.ops_listen is None:
        await main(config, lifecycle)
        return
    log.info("process_started", release=VERSION)
    async with ops.serve(config.ops_listen, lifecycle.report):
        await main(config, lifecycle)

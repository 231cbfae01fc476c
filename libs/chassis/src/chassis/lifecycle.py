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
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog
import uvloop

from chassis import logging, ops
from chassis.config import ConfigError, ProcessConfig, load, secrets
from chassis.metrics import DEFECTS, READY

ConfigT = TypeVar("ConfigT", bound=ProcessConfig)
log = structlog.get_logger()
_DRAIN_SLACK_SECONDS = 2.0
_READY_SECONDS = 1.0
_PR_SET_DUMPABLE = 4


class State(enum.Enum):
    """Whether the process accepts work; the value is the body of /readyz."""

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
        self._ready = False

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
        self._ready = ready
        READY.set(float(self.ready))

    def stop(self) -> None:
        """Begin shutdown."""
        self.stopping.set()
        READY.set(0.0)


async def pause(stopping: asyncio.Event, seconds: float) -> None:
    """Sleep for `seconds`, or until `stopping` is set."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stopping.wait()


async def keep_ready(lifecycle: Lifecycle, reachable: Callable[[], Awaitable[bool]]) -> None:
    """Update readiness from `reachable` every second, until stopping."""
    while not lifecycle.stopping.is_set():
        lifecycle.set_ready(await reachable())
        await pause(lifecycle.stopping, _READY_SECONDS)


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
    async with ops.serve(config.ops_listen, lambda: lifecycle.state.value):
        await main(config, lifecycle)

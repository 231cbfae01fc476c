"""Starts and stops a process. Each service's `app` module provides its `main`.

SIGTERM and SIGINT set `stopping`. The process is then no longer ready, and `main` finishes its work in progress and returns.
After the drain time `main` is cancelled; a second signal cancels it at once.
"""

from __future__ import annotations

import asyncio
import contextlib
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
from chassis.config import ConfigError, ProcessConfig, load
from chassis.errors import HubbubError
from chassis.metrics import DEFECTS, DEPENDENCY_USABLE, READY

ConfigT = TypeVar("ConfigT", bound=ProcessConfig)
log = structlog.get_logger()
_DRAIN_SLACK_SECONDS = 2.0
_READY_SECONDS = 0.5
"""Between two rounds of checks."""
_CHECK_SECONDS = 2.0
"""A check that takes longer has failed."""


class Unusable(Exception):
    """A dependency cannot be used. The message names the cause and the cure in one line, without third-party text."""


Check = Callable[[], Awaitable[object]]
"""Raises `Unusable` or a `HubbubError` while the process cannot use a dependency. Cancelled after two seconds."""
_NO_CHECKS: Mapping[str, Check] = MappingProxyType({})


class Lifecycle:
    """Readiness and shutdown of one process."""

    def __init__(self) -> None:
        self.stopping = asyncio.Event()
        """Set once: finish the work in progress and accept no more."""
        self.causes: dict[str, str] = {}
        """Dependencies that cannot be used, each with its cause."""
        self._ready = False
        self._changed = asyncio.Event()
        """Set, and replaced, when readiness changes or stopping begins."""

    @property
    def ready(self) -> bool:
        """Whether the process accepts work."""
        return self._ready and not self.stopping.is_set()

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
        state = "ok" if self.ready else "stopping" if self.stopping.is_set() else "not ready"
        return "".join(f"{line}\n" for line in (state, *(f"{name}: {cause}" for name, cause in self.causes.items())))

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
        ready = not any(found[name] for name in needed)
        if ready is not lifecycle.ready and not lifecycle.stopping.is_set():
            log.info("readiness_changed", ready=ready)
        lifecycle.set_ready(ready)
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
        for problem in error.problems:
            sys.stderr.write(f"{problem}\n")
        sys.exit(2)
    logging.configure(config)
    gc.freeze()  # imported modules are never garbage
    gc.set_threshold(*_GC_THRESHOLDS)
    sys.exit(uvloop.run(_run_main(config, main)))


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
    async with ops.serve(config.ops_listen, lambda: (lifecycle.ready, lifecycle.report())):
        await main(config, lifecycle)

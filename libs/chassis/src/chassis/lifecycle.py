"""Starts a process, tells it to stop, and makes sure that it does. What it does in between is its `app`.

SIGTERM and SIGINT set `stopping`: the process is not ready from then on, its `main` ends what it has in hand and
returns. Past the drain time it is cancelled; a second signal cancels at once.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog
import uvloop

from chassis import logging, ops
from chassis.config import ConfigError, ProcessConfig, load
from chassis.metrics import DEFECTS, READY

ConfigT = TypeVar("ConfigT", bound=ProcessConfig)
log = structlog.get_logger()
_DRAIN_SLACK_SECONDS = 2.0
_READY_SECONDS = 1.0


class Lifecycle:
    """The life of one process."""

    def __init__(self) -> None:
        self.stopping = asyncio.Event()
        """Set once: end what is in hand, take nothing new."""
        self._ready = False

    @property
    def ready(self) -> bool:
        """Whether the process takes work."""
        return self._ready and not self.stopping.is_set()

    def set_ready(self, ready: bool) -> None:
        """Say whether the process could take work; once stopping it does not, whatever is said."""
        self._ready = ready
        READY.set(float(self.ready))

    def stop(self) -> None:
        """Begin to stop."""
        self.stopping.set()
        READY.set(0.0)


async def pause(stopping: asyncio.Event, seconds: float) -> None:
    """Wait, but no longer than until `stopping`."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await stopping.wait()


async def keep_ready(lifecycle: Lifecycle, reachable: Callable[[], Awaitable[bool]]) -> None:
    """Keep readiness true, until stopping, to whether what the process cannot do without is reachable."""
    while not lifecycle.stopping.is_set():
        lifecycle.set_ready(await reachable())
        await pause(lifecycle.stopping, _READY_SECONDS)


_COLLECTION = (10_000, 20, 50)
"""Python's own 700 has it look for cycles, of which messages leave none, a hundred times a second under load."""
Main = Callable[[ConfigT, Lifecycle], Awaitable[None]]


def run(config_type: type[ConfigT], main: Main[ConfigT]) -> None:
    """Be a process: read settings, run `main` until it returns, exit. Exit code 2 for wrong settings, 1 for a defect."""
    try:
        config = load(config_type, os.environ)
    except ConfigError as error:
        for problem in error.problems:
            sys.stderr.write(f"{problem}\n")
        sys.exit(2)
    logging.configure(config)
    gc.freeze()  # what imports have made stays
    gc.set_threshold(*_COLLECTION)
    sys.exit(uvloop.run(_live(config, main)))


async def _live(config: ConfigT, main: Main[ConfigT]) -> int:
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
    async with ops.serve(config.ops_listen, lambda: lifecycle.ready):
        await main(config, lifecycle)

"""Readiness: what the checks say, what /readyz answers, and who waits for it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from chassis.errors import Unavailable
from chassis.lifecycle import Check, Lifecycle, Unusable, keep_ready


class Dependency:
    """A check that fails as the test says."""

    def __init__(self) -> None:
        self.error: Exception | None = None

    async def __call__(self) -> None:
        if self.error is not None:
            raise self.error


@contextlib.asynccontextmanager
async def _kept(life: Lifecycle, needed: dict[str, Check], useful: dict[str, Check] | None = None) -> AsyncIterator[None]:
    async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
        tasks.create_task(keep_ready(life, needed, useful or {}))
        yield
        life.stop()


async def test_a_process_is_ready_while_it_can_use_all_that_it_needs() -> None:
    life, store = Lifecycle(), Dependency()
    with capture_logs() as lines:
        async with _kept(life, {"store": store}):
            await life.until_ready()
            assert life.report() == "ok"
            store.error = Unusable("it refuses the password")
            await life.until_ready(ready=False)
            assert life.report() == "not ready\nstore: it refuses the password"
            assert REGISTRY.get_sample_value("hubbub_dependency_usable", {"dependency": "store"}) == 0
            store.error = None
            await life.until_ready()
            assert REGISTRY.get_sample_value("hubbub_dependency_usable", {"dependency": "store"}) == 1
    told = [(line["event"], line.get("cause")) for line in lines if line["event"].startswith("dependency")]
    assert told == [("dependency_unusable", "it refuses the password"), ("dependency_usable", "")]


async def test_what_is_useful_is_named_and_leaves_the_process_ready() -> None:
    life, bus = Lifecycle(), Dependency()
    bus.error = Unavailable("The bus does not answer")
    async with _kept(life, {}, {"bus": bus}):
        await life.until_ready()
        assert life.report() == "ok\nbus: The bus does not answer"


async def test_a_check_that_does_not_end_has_failed() -> None:
    life = Lifecycle()
    async with _kept(life, {"quick": Dependency(), "slow": asyncio.Event().wait}):
        while not life.causes:  # noqa: ASYNC110 - nothing announces a cause
            await asyncio.sleep(0)
        assert life.report() == "not ready\nslow: it does not answer within 2 s"


async def test_a_cause_that_lasts_is_logged_once() -> None:
    life, store = Lifecycle(), Dependency()
    store.error = Unusable("it is away")
    rounds = asyncio.Semaphore(0)

    async def counted() -> None:
        rounds.release()
        await store()

    with capture_logs() as lines:
        async with _kept(life, {"store": counted}):
            for _ in range(4):
                await rounds.acquire()
    assert [line["event"] for line in lines] == ["dependency_unusable"]


async def test_stopping_ends_every_wait_and_is_reported() -> None:
    life = Lifecycle()
    async with asyncio.timeout(5), asyncio.TaskGroup() as tasks:
        tasks.create_task(life.until_ready())
        await asyncio.sleep(0)
        life.stop()
        await life.until_ready()
    assert (life.ready, life.report()) == (False, "stopping")


@pytest.mark.parametrize("ready", [True, False])
async def test_waiting_for_what_holds_returns_at_once(*, ready: bool) -> None:
    life = Lifecycle()
    life.set_ready(ready)
    async with asyncio.timeout(1):
        await life.until_ready(ready=ready)

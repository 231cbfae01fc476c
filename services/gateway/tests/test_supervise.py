"""A defect in one task does not affect others."""

from __future__ import annotations

import asyncio

import pytest

from chassis.metrics import DEFECTS
from gateway import supervise
from services.gateway.tests.world import World


async def test_a_loop_that_fails_runs_again_and_the_defect_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervise, "PAUSE_SECONDS", 0.0)
    ran = asyncio.Event()
    attempts = 0

    async def loop() -> None:
        nonlocal attempts
        attempts += 1
        if attempts == 1:
            raise ZeroDivisionError
        ran.set()

    task = asyncio.create_task(supervise.kept_running("test", loop))
    await asyncio.wait_for(ran.wait(), 5)
    task.cancel()
    (metric,) = DEFECTS.labels("test").collect()
    assert [sample.value for sample in metric.samples if sample.name.endswith("total")] == [1.0]


async def test_a_verification_that_fails_closes_only_the_newcomers(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    ann, bob = world.connect("ann"), world.connect("bob")
    await world.sync(ann)
    await world.sync(bob)

    def broken(_channel: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("gateway.hub.gains.membership", broken)
    world.join("c", "ann")
    assert (await world.seen(ann))[-1] == 4005
    assert await world.seen(bob) == ["synced"]
    assert not world.hub.channels

"""Finding gaps that no later event reveals, and giving up on gaps that cannot be closed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import cast

import pytest

from chassis.errors import Unavailable
from gateway.hub import fill as fill_module
from gateway.hub import reconcile as reconcile_module
from gateway.hub.reconcile import Reconciler
from gateway.metrics import HOLES
from hubbub.messages.v1.messages_service_pb2_grpc import MessagesServiceStub
from services.gateway.tests.world import World


@pytest.fixture
async def reconciler(world: World, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Reconciler]:
    """A running reconciler with rounds and grace of a few milliseconds."""
    monkeypatch.setattr(reconcile_module, "GRACE_SECONDS", 0.01)
    made = Reconciler(world.hub, cast(MessagesServiceStub, world.store), 2, 0.01)
    tasks = [asyncio.create_task(made.run()), asyncio.create_task(made.run_periodically())]
    yield made
    for task in tasks:
        task.cancel()


def holes() -> float:
    (sample, *_) = next(iter(HOLES.collect())).samples
    return sample.value


async def until(world: World, connection: object, frames: list[object]) -> None:
    async with asyncio.timeout(5):
        while await world.seen(connection) != frames:  # type: ignore[arg-type]  # noqa: ASYNC110 - the reconciler has its own pace
            await asyncio.sleep(0.005)


async def test_an_announced_head_reveals_a_lost_event(world: World) -> None:
    world.join("c", "ann")
    ann = world.connect("ann")
    await world.sync(ann)
    made = Reconciler(world.hub, cast(MessagesServiceStub, world.store), 2, 60)
    before = holes()
    world.store.append("c")  # never published
    made.announced("c", 2)
    assert await world.seen(ann) == ["synced", "c:2"]
    assert holes() == before + 1


async def test_an_announced_head_that_was_delivered_or_is_of_no_local_channel_means_nothing(world: World) -> None:
    world.join("c", "ann")
    world.connect("ann")
    made = Reconciler(world.hub, cast(MessagesServiceStub, world.store), 2, 60)
    world.store.prompt = False
    before = holes()
    made.announced("c", 1)
    made.announced("elsewhere", 7)
    await world.settle()
    assert not world.store.calls
    assert holes() == before


async def test_a_round_takes_longer_rather_than_asking_faster(world: World) -> None:
    made = Reconciler(world.hub, cast(MessagesServiceStub, world.store), 2, 60)
    assert made.pause_before(0, 0) == 60
    assert made.pause_before(500, 1_000) == 30
    assert made.pause_before(500, 1_000_000) == 500 / reconcile_module.CHANNELS_PER_SECOND


async def test_the_periodic_round_finds_fills_and_counts_a_gap(world: World, reconciler: Reconciler) -> None:
    del reconciler
    world.join("c", "ann")
    ann = world.connect("ann")
    await world.sync(ann)
    before = holes()
    world.store.append("c")  # never published
    world.store.append("c")
    await until(world, ann, ["synced", "c:2", "c:3"])
    assert holes() == before + 1


async def test_suspected_channels_are_compared_at_once_and_again_while_the_store_is_unavailable(
    world: World, reconciler: Reconciler
) -> None:
    world.join("c", "ann")
    ann = world.connect("ann")
    await world.sync(ann)
    world.store.append("c")
    world.store.prompt = False
    reconciler.suspect_partitions({0, 1})
    await world.settle()
    for call in list(world.store.calls):
        call.arrive(Unavailable())
    world.store.prompt = True
    await until(world, ann, ["synced", "c:2"])


async def test_a_store_that_lost_commits_closes_with_4005(world: World, reconciler: Reconciler) -> None:
    world.join("c", "ann")
    world.say("c", 2)
    ann = world.connect("ann")
    await world.sync(ann)
    world.store.logs["c"].pop()
    reconciler.suspect(["c"])
    await until(world, ann, ["synced", 4005])
    assert not world.hub.channels


async def test_a_gap_that_the_store_does_not_fill_closes_with_4005(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fill_module, "FRUITLESS", 2)
    world.join("c", "ann")
    ann = world.connect("ann")
    await world.sync(ann)
    first, second = world.store.append("c"), world.store.append("c")
    world.hub.take(second)
    world.store.logs["c"].remove(second)
    world.store.logs["c"].remove(first)
    await until(world, ann, ["synced", 4005])


async def test_a_gap_is_fetched_again_while_the_store_is_unavailable(world: World) -> None:
    world.join("c", "ann")
    ann = world.connect("ann")
    await world.sync(ann)
    world.store.prompt = False
    world.store.append("c")
    world.say("c")
    await world.settle()
    world.store.calls[0].arrive(Unavailable())
    world.store.prompt = True
    await until(world, ann, ["synced", "c:2", "c:3"])

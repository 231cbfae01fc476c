"""A store that went back in time: positions, events and answers of an earlier epoch."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable
from typing import Any

import pytest
import websockets

from services.gateway.tests.house import House
from services.gateway.tests.world import JOINED, World


async def test_a_position_of_the_same_epoch_is_resumed(world: World) -> None:
    world.join("c", "ann")
    world.say("c", 2)
    ann = world.connect("ann")
    await world.sync(ann, "1", c=1)
    assert await world.seen(ann) == ["synced c=complete@3", "c:2", "c:3"]


async def test_a_position_of_another_epoch_is_reset_without_asking_the_store(world: World) -> None:
    world.join("c", "ann")
    world.say("c", 2)
    ann = world.connect("ann")
    world.store.prompt = False
    await world.sync(ann, "0", c=3)
    world.say("c")
    assert await world.seen(ann) == ["synced c=reset@3", "c:4"]


async def test_a_reset_of_a_session_that_is_ahead_of_the_bus_starts_at_the_session(world: World) -> None:
    world.join("c", "ann")
    missing = world.store.append("c")
    ann = world.connect("ann")
    await world.sync(ann, "0", c=1)
    world.hub.take(missing)
    world.say("c")
    assert await world.seen(ann) == ["synced c=reset@2", "c:3"]


async def test_a_position_without_an_epoch_counts_only_while_the_store_has_had_no_other(world: World) -> None:
    world.join("c", "ann")
    first = world.connect("ann")
    await world.sync(first, c=1)
    assert await world.seen(first) == ["synced c=complete@1"]
    world.registry.gone(first)
    world.store.go_back("c", 1, "2")
    later = world.connect("ann")
    await world.sync(later, c=1)
    assert await world.seen(later) == ["synced c=reset@1"]
    await world.sync(later, c=0)
    assert (await world.seen(later))[1:] == ["synced c=complete@1", "c:1"]


async def test_a_new_epoch_closes_every_connection_and_forgets_what_passed(world: World) -> None:
    world.join("c", "ann", "bob")
    ann, bob = world.connect("ann"), world.connect("bob")
    await world.sync(ann)
    with world.hub.recent.load() as load:
        world.hub.take(world.store.append("elsewhere"))
        assert load.head("elsewhere") == (1, 0)
        assert world.hub.epoch.accept("2")
        assert load.head("elsewhere") == (0, 0)
    assert await world.seen(ann) == ["synced", 4005]
    assert await world.seen(bob) == [4005]
    assert not world.hub.channels
    assert not world.hub.epoch.accept("1")


@pytest.mark.parametrize("earlier", [True, False])
@pytest.mark.parametrize("first", [True, False])
async def test_a_catch_up_from_a_store_of_another_epoch_sends_nothing(world: World, earlier: bool, first: bool) -> None:
    """An earlier store is not read; a later one closes the connection."""
    world.store.epoch = "5"
    world.join("c", "ann")
    world.say("c", 2)
    ann = world.connect("ann")
    if not first:
        await world.sync(ann, "5", c=3)
    before = await world.seen(ann)
    world.store.epoch = "4" if earlier else "6"
    await world.sync(ann, "5", c=1)
    assert (await world.seen(ann))[len(before) :] == ["error:UNAVAILABLE" if earlier else 4005]


async def test_a_gap_is_not_filled_from_a_store_of_an_earlier_epoch(world: World) -> None:
    world.store.epoch = "5"
    world.join("c", "ann")
    ann = world.connect("ann")
    await world.sync(ann)
    world.store.append("c")
    world.store.epoch = "4"
    world.say("c")
    assert await world.seen(ann) == ["synced"]


async def _next(connection: Any) -> Any:
    return json.loads(await asyncio.wait_for(connection.recv(), 5))


async def _closed(connection: Any) -> int:
    """The close code; every frame before it is of a kind that carries no entry."""
    with contextlib.suppress(websockets.ConnectionClosed):
        while True:
            assert (await _next(connection))["type"] != "event"
    return int(connection.close_code)


async def _member(house: House, connect: Callable[..., Any], posts: int) -> Any:
    house.store.append("c", JOINED, "ann")
    for _ in range(posts):
        house.store.append("c")
    return connect("ann")


async def test_entries_written_over_lost_ones_reach_a_client_only_after_a_reset(house: House) -> None:
    """Entries 9 and 10 are lost, and others take their numbers before heads are compared."""
    async with await _member(house, house.connect, posts=9) as ann:
        former = await _next(ann)
        assert former["channels"][0]["seq"] == 10
        await ann.send(json.dumps({"type": "sync", "positions": {}}))
        await _next(ann)
        house.store.go_back("c", 8, "2")
        await house.store.publish(house.bus, *(house.store.append("c") for _ in range(3)))
        assert await _closed(ann) == 4005
    async with house.connect("ann") as ann:
        hello = await _next(ann)
        assert (hello["epoch"], hello["channels"][0]["seq"]) == ("2", 11)
        await ann.send(json.dumps({"type": "sync", "positions": {"c": 10}, "epoch": former["epoch"]}))
        assert (await _next(ann))["channels"] == {"c": {"status": "reset", "seq": 11}}
        await house.store.publish(house.bus, house.store.append("c"))
        assert (await _next(ann))["seq"] == 12


async def test_an_event_of_an_earlier_epoch_is_not_delivered_and_its_channel_is_compared(house: House) -> None:
    async with await _member(house, house.connect, posts=0) as ann:
        house.store.epoch = "5"
        async with house.connect("ann") as later:
            hello = await _next(later)
            await later.send(json.dumps({"type": "sync", "positions": {}}))
            await _next(later)
            assert hello["epoch"] == "5"
            assert await _closed(ann) == 4005
            lost = house.store.append("c")
            house.store.logs["c"].pop()
            stored = house.store.append("c")
            stored.payload = json.dumps(json.loads(stored.payload) | {"user": "stored"}).encode()
            await house.store.publish(house.bus, lost, epoch="4")
            event = await _next(later)
            assert (event["seq"], event["user"]) == (2, "stored"), "the entry of that number that the store has"


async def test_a_quiet_gateway_learns_of_a_new_epoch_without_an_event(house: House) -> None:
    async with await _member(house, house.connect, posts=1) as ann:
        await _next(ann)
        house.store.go_back("c", 1, "2")
        assert await _closed(ann) == 4005

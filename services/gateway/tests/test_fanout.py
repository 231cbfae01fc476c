"""Entries of the bus reach the connections that they concern."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import pytest
from msgspec import Raw

from bus.memory import MemoryBus
from bus.topics import events
from gateway.commands.pending import Pending
from gateway.hub.fanout import Fanout
from hubbub.events.v1.events_pb2 import EventBatch
from services.gateway.tests.world import World


@pytest.mark.parametrize(("waits", "answered"), [("", True), ("g", True), ("another", False)])
async def test_a_command_is_acknowledged_by_its_event_also_when_the_sweeper_published_it(
    world: World, waits: str, answered: bool
) -> None:
    world.join("c", "ann")
    ann = world.connect("ann")
    bus, pending, unused = MemoryBus(), Pending(world.registry.writer, world.registry.connections), cast(Any, None)
    fanout = Fanout(
        bus, "g", partitions=1, hub=world.hub, writer=world.registry.writer, accounts=world.registry.accounts,
        reconciler=unused,
        on_event=pending.stored, on_reply=pending.replied, on_lost=unused,
    )  # fmt: skip
    pending.add("g-1.1", ann, Raw(b"1"))
    event = world.store.append("c")
    event.command, event.gateway = "g-1.1", waits
    following = asyncio.Event()
    task = asyncio.create_task(fanout.run(following.set))
    await following.wait()
    await bus.publish([(events(0), EventBatch(events=[event]).SerializeToString())])
    async with asyncio.timeout(5):
        while world.hub.channels["c"].head < event.seq:  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0)
    task.cancel()
    await world.settle()
    acks = [frame for frame in world.transports[ann].frames() if frame["type"] == "ack"]
    assert [frame["seq"] for frame in acks] == [event.seq] * answered

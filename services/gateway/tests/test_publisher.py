"""Division of commands into entries of the bus."""

from __future__ import annotations

import asyncio

from bus.memory import MemoryBus
from bus.topics import commands
from gateway.commands.pending import Pending
from gateway.commands.publisher import BATCH_BYTES, CommandPublisher
from hubbub.events.v1.events_pb2 import Command, CommandBatch, PostMessage
from services.gateway.tests.world import World

TEXT_BYTES = 16 * 1024


async def test_an_entry_of_the_bus_is_bounded_in_bytes_and_keeps_the_order(world: World) -> None:
    bus = MemoryBus()
    publisher = CommandPublisher(bus, 1, Pending(world.registry.writer, world.registry.connections))
    task = asyncio.create_task(publisher.run())
    for number in range(100):
        publisher.add(Command(channel="c", id=f"g-1.{number}", post=PostMessage(text="x" * TEXT_BYTES)))
    await publisher.emptied()
    task.cancel()
    entries = [entry.payload for entry in bus.log(commands(0).name).entries]
    assert len(entries) < 10
    assert all(len(payload) <= BATCH_BYTES + TEXT_BYTES for payload in entries)
    sent = [command.id for payload in entries for command in CommandBatch.FromString(payload).commands]
    assert sent == [f"g-1.{number}" for number in range(100)]

"""Division of commands into entries of the bus, and of the bus among tenants."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import pytest_asyncio
from msgspec import Raw

from bus.memory import MemoryBus
from bus.topics import commands
from chassis.errors import RateLimited, Unavailable
from gateway.commands.pending import Pending
from gateway.commands.publisher import BATCH_BYTES, SHARED_BYTES, CommandPublisher
from gateway.commands.shares import ACTIVE_SECONDS, CHANGE_WEIGHT, WAITING_SECONDS
from hubbub.events.v1.events_pb2 import Command, CommandBatch, PinMessage, PostMessage, Reply
from services.gateway.tests.world import World

TEXT_BYTES = 16 * 1024
ALONE, SHARE = 300, 100


@dataclass
class Publishing:
    """A publisher on one partition whose tenants have shares of `SHARE` posts, since another tenant is active."""

    world: World
    pending: Pending
    bus: MemoryBus = field(default_factory=MemoryBus)
    sent: int = 0
    now: float = 0.0

    def __post_init__(self) -> None:
        self.publisher = CommandPublisher(self.bus, 1, self.pending, alone=ALONE, shared=SHARE, clock=lambda: self.now)
        self.publisher.tenants.seen("a third")
        self.connection = self.world.connect("ann")

    def send(self, tenant: str, **body: Any) -> str:
        """Send a command, by default a short post, and return its id."""
        self.sent += 1
        command = Command(tenant=tenant, channel=tenant, id=f"g-1.{self.sent}", **(body or {"post": PostMessage(text="x")}))
        self.pending.add(command.id, self.connection, Raw(b"1"))
        self.publisher.add(command)
        return command.id

    async def published(self, enough: Callable[[list[str]], bool]) -> list[str]:
        """The ids of the commands on the bus, once these are `enough`."""
        async with asyncio.timeout(5):
            while True:
                payloads = [entry.payload for entry in self.bus.log(commands(0).name).entries]
                ids = [command.id for payload in payloads for command in CommandBatch.FromString(payload).commands]
                if enough(ids):
                    return ids
                await asyncio.sleep(0)


@pytest_asyncio.fixture
async def publishing(world: World) -> AsyncIterator[Publishing]:
    publishing = Publishing(world, Pending(world.registry.writer, world.registry.connections))
    task = asyncio.create_task(publishing.publisher.run())
    yield publishing
    task.cancel()


async def test_a_tenant_that_floods_fills_its_own_share_of_the_bus_only(publishing: Publishing) -> None:
    flood = [publishing.send("loud") for _ in range(10 * SHARE)]
    other = publishing.send("quiet")
    published = await publishing.published(lambda ids: other in ids)
    assert published == [*flood[:SHARE], other]


async def test_what_waits_follows_in_order_as_outcomes_arrive(publishing: Publishing) -> None:
    flood = [publishing.send("loud") for _ in range(3 * SHARE)]
    for count in (SHARE, 2 * SHARE, 3 * SHARE):
        published = await publishing.published(lambda ids, count=count: len(ids) == count)  # type: ignore[misc]
        assert published == flood[:count]
        for command in published[-SHARE:]:
            publishing.pending.replied(Reply(command=command, duplicate=True))
    assert not len(publishing.pending)


async def test_a_tenant_may_fill_the_bus_while_no_other_is_active(publishing: Publishing) -> None:
    publishing.now += ACTIVE_SECONDS
    flood = [publishing.send("loud") for _ in range(2 * ALONE)]
    assert await publishing.published(lambda ids: len(ids) == ALONE) == flood[:ALONE]
    publishing.publisher.tenants.seen("quiet")  # at another gateway
    for command in flood[: ALONE - SHARE]:
        publishing.pending.replied(Reply(command=command, duplicate=True))
    other = publishing.send("quiet")
    assert await publishing.published(lambda ids: other in ids) == [*flood[:ALONE], other]


async def test_a_share_is_bounded_in_bytes(publishing: Publishing) -> None:
    for _ in range(SHARE):
        publishing.send("loud", post=PostMessage(text="x" * TEXT_BYTES))
    other = publishing.send("quiet")
    published = await publishing.published(lambda ids: other in ids)
    assert len(published) == SHARED_BYTES // TEXT_BYTES + 1


async def test_a_change_fills_as_much_of_a_share_as_the_posts_that_take_as_long(publishing: Publishing) -> None:
    for _ in range(SHARE):
        publishing.send("loud", pin=PinMessage(message="m"))
    other = publishing.send("quiet")
    assert len(await publishing.published(lambda ids: other in ids)) == -(-SHARE // CHANGE_WEIGHT) + 1


@pytest.mark.parametrize(("answered", "refusal"), [(1, RateLimited), (0, Unavailable)])
async def test_a_tenant_whose_commands_wait_too_long_is_told_to_slow_down_if_commands_are_carried_out(
    publishing: Publishing, answered: int, refusal: type[Exception]
) -> None:
    flood = [publishing.send("loud") for _ in range(SHARE + 2)]
    await publishing.published(lambda ids: len(ids) == SHARE)
    for command in flood[:answered]:
        publishing.pending.replied(Reply(command=command, duplicate=True))
    await publishing.published(lambda ids: len(ids) == SHARE + answered)
    publishing.now += WAITING_SECONDS
    with pytest.raises(refusal):
        publishing.send("loud")
    other = publishing.send("quiet")
    assert other in await publishing.published(lambda ids: len(ids) == SHARE + answered + 1)


async def test_a_command_that_was_given_up_is_not_published_and_leaves_the_share(publishing: Publishing) -> None:
    flood = [publishing.send("loud") for _ in range(2 * SHARE)]
    await publishing.published(lambda ids: len(ids) == SHARE)
    publishing.pending.failed(flood, Unavailable())
    later = publishing.send("loud")
    assert await publishing.published(lambda ids: later in ids) == [*flood[:SHARE], later]


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

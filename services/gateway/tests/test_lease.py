"""A gateway without a valid lease sends nothing and accepts no commands until it has read all revocations."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable

import pytest

from bus.bus import Delivery
from bus.gateway_leases import LEASE_SECONDS, RedisGatewayLeases
from bus.memory import MemoryBus
from bus.topics import revocations
from chassis.errors import Unavailable
from gateway.commands.pending import Pending
from gateway.commands.publisher import CommandPublisher
from gateway.model import Connection
from gateway.protocol.close_codes import Close
from gateway.revocation.lease import GatewayLease
from gateway.wire.writer import HELD_BYTES
from hubbub.events.v1.events_pb2 import Command, RevocationBatch
from services.gateway.tests.world import MemoryTransport, World


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class LeaseHolder:
    """A lease in a real Valkey, and its echoes on the bus; the test decides when they are read."""

    def __init__(self, url: str) -> None:
        self.clock = Clock()
        self.bus = MemoryBus()
        self.leases = RedisGatewayLeases(url)
        self.lease = GatewayLease(self.leases, self.bus, "g", self.clock)

    async def until_echoes(self, count: int) -> list[str]:
        """Run until the lease was renewed; returns its echoes, oldest first."""
        echoes: list[str] = []
        async with self.bus.follow([revocations()]) as deliveries:
            running = asyncio.create_task(self.lease.run())
            try:
                async with asyncio.timeout(10):
                    while len(echoes) < count:
                        delivery = await anext(deliveries)
                        assert isinstance(delivery, Delivery)
                        echoes += [RevocationBatch.FromString(entry.payload).echo for entry in delivery.entries]
            finally:
                running.cancel()
        return echoes


@pytest.fixture
async def holder(valkey_url: str) -> AsyncIterator[LeaseHolder]:
    holder = LeaseHolder(valkey_url)
    with contextlib.closing(holder.leases):
        yield holder


async def test_a_gateway_is_cut_off_until_it_has_read_its_echo(holder: LeaseHolder) -> None:
    assert holder.lease.cut_off
    (echo,) = await holder.until_echoes(1)
    assert holder.lease.cut_off
    holder.lease.echo_read("of another gateway")
    assert holder.lease.cut_off
    holder.lease.echo_read(echo)
    assert not holder.lease.cut_off


async def test_a_gateway_is_cut_off_when_its_lease_ends_and_an_old_echo_does_not_count(holder: LeaseHolder) -> None:
    (first,) = await holder.until_echoes(1)
    holder.lease.echo_read(first)
    holder.clock.now += LEASE_SECONDS  # the gateway was stopped
    assert holder.lease.cut_off
    holder.lease.echo_read(first)
    assert holder.lease.cut_off
    (second,) = await holder.until_echoes(1)
    holder.lease.echo_read(first)
    assert holder.lease.cut_off
    holder.lease.echo_read(second)
    assert not holder.lease.cut_off


async def test_an_echo_that_the_bus_lost_is_published_again(holder: LeaseHolder) -> None:
    one, two = await holder.until_echoes(2)
    assert one == two
    holder.lease.echo_read(two)
    assert not holder.lease.cut_off


async def test_after_a_loss_while_cut_off_every_user_must_be_checked(holder: LeaseHolder) -> None:
    holder.lease.missed()
    (echo,) = await holder.until_echoes(1)
    holder.lease.echo_read(echo)
    assert holder.lease.cut_off
    holder.lease.settled()
    assert not holder.lease.cut_off


async def test_a_loss_under_a_valid_lease_does_not_cut_off(holder: LeaseHolder) -> None:
    (echo,) = await holder.until_echoes(1)
    holder.lease.echo_read(echo)
    holder.lease.missed()
    assert not holder.lease.cut_off


# While the gateway is cut off.


class Switch:
    def __init__(self) -> None:
        self.on = True

    def __call__(self) -> bool:
        return self.on


@pytest.fixture
async def switch() -> Switch:
    return Switch()


@pytest.fixture
async def cut_off(switch: Switch) -> AsyncIterator[World]:
    """A world whose gateway is cut off while the switch is on."""
    async with asyncio.TaskGroup() as group:
        world = World(group, cut_off=switch)
        yield world
        for connection in list(world.registry.connections.values()):
            world.registry.gone(connection)


async def held(world: World) -> set[Connection]:
    """Return the connections whose backlogs the writer holds."""
    looked: asyncio.Future[set[Connection]] = asyncio.get_running_loop().create_future()

    def note(connections: Iterable[Connection]) -> None:
        if not looked.done():
            looked.set_result(set(connections))

    world.registry.writer.on_held = note
    async with asyncio.timeout(5):
        return await looked


def transports(world: World, *connections: Connection) -> list[MemoryTransport]:
    return [world.transports[connection] for connection in connections]


async def test_held_payloads_are_sent_afterwards_in_order(cut_off: World, switch: Switch) -> None:
    ann = cut_off.connect("ann")
    for frame in (b'{"n":1}', b'{"n":2}'):
        cut_off.registry.writer.send(ann, frame)
    assert await held(cut_off) == {ann}
    assert cut_off.transports[ann].written == b""
    switch.on = False
    await cut_off.registry.writer.flushed()
    assert cut_off.transports[ann].frames() == [{"n": 1}, {"n": 2}]


async def test_a_connection_that_ends_meanwhile_gets_only_its_close_code(cut_off: World) -> None:
    ann, bob = cut_off.connect("ann"), cut_off.connect("bob")
    for connection, reason in ((ann, Close.REVOKED), (bob, Close.TOKEN_EXPIRED)):
        cut_off.registry.writer.send(connection, b"{}")
        cut_off.registry.close(connection, reason)
    await asyncio.wait_for(cut_off.registry.writer.flushed(), 5)
    assert [transport.frames() for transport in transports(cut_off, ann, bob)] == [[4501], [4001]]


async def test_a_user_whom_the_store_admits_does_not_wait_for_others(cut_off: World) -> None:
    ann, bob = cut_off.connect("ann"), cut_off.connect("bob")
    for connection in (ann, bob):
        cut_off.registry.writer.send(connection, b"{}")
    assert await held(cut_off) == {ann, bob}
    cut_off.registry.writer.release([ann])
    assert [transport.frames() for transport in transports(cut_off, ann, bob)] == [[{}], []]


async def test_held_payloads_are_bounded(cut_off: World) -> None:
    ann = cut_off.connect("ann")
    for _ in range(HELD_BYTES // 1_000):
        cut_off.registry.writer.send(ann, b"x" * 1_000)
    await asyncio.wait_for(cut_off.registry.writer.flushed(), 5)
    assert ann.closing is Close.SLOW_CONSUMER


async def test_commands_are_refused(cut_off: World, switch: Switch) -> None:
    bus = MemoryBus()
    publisher = CommandPublisher(bus, 1, Pending(cut_off.registry.writer, cut_off.registry.connections), switch)
    with pytest.raises(Unavailable):
        publisher.add(Command(id="a", channel="c"))
    switch.on = False
    publisher.add(Command(id="b", channel="c"))

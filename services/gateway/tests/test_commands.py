"""Limits of a connection, and the outcomes of its commands."""

from __future__ import annotations

import asyncio
import gc

import pytest
from msgspec import Raw

from bus.bus import BusUnavailable
from bus.memory import MemoryBus
from bus.topics import commands, partition_of
from chassis.errors import RateLimited, Unavailable
from gateway.commands import pending as pending_module
from gateway.commands.pending import TIMEOUT_SECONDS, Pending
from gateway.commands.publisher import BATCH, WAITING, CommandPublisher
from gateway.model import Connection
from gateway.protocol.close_codes import Close
from gateway.rates.bucket import FLOOD_SECONDS, Bucket
from hubbub.events.v1.events_pb2 import Command, CommandBatch, Event, Reply
from services.gateway.tests.world import World


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def test_a_burst_is_granted_then_the_rate() -> None:
    clock = Clock()
    bucket = Bucket(10, 20, clock)
    assert [bucket.take(1.0) for _ in range(20)] == [0.0] * 20
    assert bucket.take(1.0) == pytest.approx(0.1)
    clock.now += 0.1
    assert bucket.take(1.0) == 0.0
    assert bucket.take(1.0) > 0


def test_ten_seconds_at_twice_the_rate_are_a_flood_and_a_pause_is_not() -> None:
    clock = Clock()
    bucket = Bucket(10, 20, clock)

    def offer(per_second: int, seconds: int) -> None:
        for _ in range(seconds):
            for _ in range(per_second):
                bucket.take(1.0)
            clock.now += 1.0

    offer(20, FLOOD_SECONDS - 1)
    offer(1, 1)
    offer(19, 2 * FLOOD_SECONDS)
    bucket.take(1.0)
    assert not bucket.flooding
    offer(20, FLOOD_SECONDS)
    bucket.take(1.0)
    assert bucket.flooding


async def test_a_silent_socket_is_closed_with_4003_and_an_active_one_is_not(world: World) -> None:
    silent, talking = world.connect("ann"), world.connect("bob")
    sweep = world.registry.sweep
    for connection in (silent, talking):
        world.registry.opened(connection)
    for _ in range(59):
        sweep.advance(sweep.now + 1)
        talking.last_frame = sweep.now
    assert world.registry.connections.keys() == {silent.id, talking.id}
    sweep.advance(sweep.now + 1)
    assert silent.closing is Close.NO_HEARTBEAT
    assert not talking.closing


async def test_a_socket_is_closed_with_4001_when_its_token_ends(world: World) -> None:
    ann = world.connect("ann", token_seconds=-1)
    world.registry.opened(ann)
    world.registry.sweep.advance(world.registry.sweep.now + 2)
    assert ann.closing is Close.TOKEN_EXPIRED


async def test_no_reference_to_a_closed_socket_remains(world: World) -> None:
    ann = world.connect("ann")
    world.registry.opened(ann)
    world.registry.gone(ann)
    del world.transports[ann], ann
    gc.collect()
    assert not [each for each in gc.get_objects() if isinstance(each, Connection)]


async def test_a_client_that_does_not_finish_closing_is_disconnected(world: World) -> None:
    ann = world.connect("ann")
    world.registry.close(ann, Close.REVOKED)
    transport = world.transports[ann]
    assert transport.frames() == [4501]
    assert not transport.aborted
    world.registry.sweep.advance(world.registry.sweep.now + 6)
    assert transport.aborted


# Outcomes.


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pending(world: World, clock: Clock) -> Pending:
    return Pending(world.registry.writer, world.registry.connections, clock)


async def test_an_event_acknowledges_its_command_once(world: World, pending: Pending) -> None:
    ann = world.connect("ann")
    pending.add("g-1.1", ann, Raw(b'{"n": 1}'))
    event = Event(channel="c", seq=7, message="m", at="now", command="g-1.1")
    pending.stored(event)
    pending.stored(event)
    await world.settle()
    assert world.transports[ann].frames() == [
        {"type": "ack", "channel": "c", "seq": 7, "message": "m", "at": "now", "ref": {"n": 1}}
    ]


async def test_a_duplicate_is_acknowledged_as_one_and_a_refusal_has_its_reason(world: World, pending: Pending) -> None:
    ann = world.connect("ann")
    pending.add("a", ann, Raw(b"1"))
    pending.add("b", ann, Raw(b"2"))
    pending.replied(Reply(command="a", channel="c", seq=3, message="m", at="then", duplicate=True))
    pending.replied(Reply(command="b", reason="SLOW_MODE", detail="wait", retry_after=2.5))
    await world.settle()
    first, second = world.transports[ann].frames()
    assert (first["type"], first["duplicate"], first["ref"]) == ("ack", True, 1)
    assert second == {"type": "error", "reason": "SLOW_MODE", "detail": "wait", "ref": 2, "retry_after": 2.5}


async def test_a_command_without_outcome_is_unavailable_after_ten_seconds(world: World, pending: Pending, clock: Clock) -> None:
    ann = world.connect("ann")
    pending.add("a", ann, Raw(b"1"))
    clock.now += TIMEOUT_SECONDS - 0.1
    pending.expire()
    assert len(pending) == 1
    clock.now += 0.2
    pending.expire()
    await world.settle()
    (frame,) = world.transports[ann].frames()
    assert (frame["reason"], frame["ref"]) == ("UNAVAILABLE", 1)
    assert frame["retry_after"] > 0
    assert not len(pending)


async def test_pending_commands_are_bounded(world: World, pending: Pending, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pending_module, "BOUND", 6)
    ann = world.connect("ann")
    for number in range(3):
        pending.add(str(number), ann, Raw(b"1"))
    with pytest.raises(RateLimited):  # a tenant has half
        pending.add("more", ann, Raw(b"1"))
    pending.failed(("0",), Unavailable())
    pending.add("more", ann, Raw(b"1"))
    monkeypatch.setattr(pending_module, "BOUND", 3)
    with pytest.raises(Unavailable):
        pending.add("yet more", ann, Raw(b"1"))


# Publishing.


def command(number: int, channel: str = "c", tenant: str = "t") -> Command:
    return Command(tenant=tenant, channel=channel, id=f"g-1.{number}", key=str(number))


def published(bus: MemoryBus, partition: int) -> list[str]:
    batches = [CommandBatch.FromString(entry.payload) for entry in bus.log(commands(partition).name).entries]
    assert all(len(batch.commands) <= BATCH for batch in batches)
    return [each.id for batch in batches for each in batch.commands]


async def test_the_commands_of_a_tick_are_one_entry_per_partition_in_order(pending: Pending) -> None:
    bus = MemoryBus()
    publisher = CommandPublisher(bus, 2, pending)
    task = asyncio.create_task(publisher.run())
    channels = ["a", "b", "c", "d"]
    for number in range(40):
        publisher.add(command(number, channels[number % 4]))
    await publisher.emptied()
    for partition in range(2):
        expected = [f"g-1.{number}" for number in range(40) if partition_of(channels[number % 4], 2) == partition]
        assert published(bus, partition) == expected
        assert len(bus.log(commands(partition).name).entries) <= 1
    task.cancel()


async def test_a_command_that_the_bus_refuses_is_unavailable_at_once(world: World, pending: Pending) -> None:
    class Away(MemoryBus):
        async def publish(self, _batch: object) -> None:
            raise BusUnavailable

    ann = world.connect("ann")
    publisher = CommandPublisher(Away(), 1, pending)
    task = asyncio.create_task(publisher.run())
    pending.add("g-1.1", ann, Raw(b"1"))
    publisher.add(command(1))
    await publisher.emptied()
    assert await world.seen(ann) == ["error:UNAVAILABLE"]
    task.cancel()


async def test_a_full_topic_refuses_its_own_commands_only(world: World, pending: Pending) -> None:
    bus = MemoryBus()
    full = partition_of("a", 2)
    other = next(name for name in "bcdefgh" if partition_of(name, 2) != full)
    topic = commands(full)
    await bus.publish([(topic, b"")] * topic.bound)
    ann = world.connect("ann")
    publisher = CommandPublisher(bus, 2, pending)
    task = asyncio.create_task(publisher.run())
    for number, channel in ((1, "a"), (2, other)):
        pending.add(f"g-1.{number}", ann, Raw(str(number).encode()))
        publisher.add(command(number, channel))
    await publisher.emptied()
    await world.settle()
    (frame,) = world.transports[ann].frames()
    assert (frame["reason"], frame["ref"]) == ("UNAVAILABLE", 1)
    assert published(bus, 1 - full) == ["g-1.2"]
    task.cancel()


async def test_commands_that_wait_for_the_bus_are_bounded_and_a_tenant_has_half(pending: Pending) -> None:
    publisher = CommandPublisher(MemoryBus(), 1, pending)
    publisher.tenants.seen("u")
    for tenant in ("t", "u"):
        for number in range(WAITING // 2):
            publisher.add(command(number, tenant=tenant))
        with pytest.raises(RateLimited if tenant == "t" else Unavailable):
            publisher.add(command(WAITING, tenant=tenant))
    with pytest.raises(Unavailable):
        publisher.add(command(WAITING, tenant="v"))


async def test_a_slow_consumer_is_closed_with_4002_and_disconnected_in_time(world: World) -> None:
    world.join("c", "ann", "bob")
    ann, bob = world.connect("ann"), world.connect("bob")
    await world.sync(ann)
    await world.sync(bob)
    world.transports[ann].unread = 2 * 1024 * 1024
    ann.paused = True
    world.say("c")
    await world.settle()
    assert ann.closing is Close.SLOW_CONSUMER
    assert world.transports[ann].frames()[-1] == 4002
    world.say("c")
    assert (await world.seen(bob))[-2:] == ["c:3", "c:4"]
    world.registry.sweep.advance(world.registry.sweep.now + 16)
    assert world.transports[ann].aborted


async def test_a_transport_that_raises_does_not_affect_other_sockets(world: World) -> None:
    world.join("c", "ann", "bob")
    ann, bob = world.connect("ann"), world.connect("bob")
    await world.sync(ann)
    await world.sync(bob)
    world.transports[ann].aborted = True  # before the gateway knows
    world.say("c", 2)
    await world.settle()
    world.say("c")
    assert (await world.seen(bob))[-3:] == ["c:3", "c:4", "c:5"]


async def test_frames_of_one_tick_are_one_write(world: World) -> None:
    world.join("c", "ann")
    ann = world.connect("ann")
    await world.sync(ann)
    before = world.transports[ann].writes
    world.say("c", 20)
    await world.settle()
    assert world.transports[ann].writes == before + 1


async def test_a_socket_lost_with_unsent_bytes_does_not_affect_the_others(world: World) -> None:
    ann, bob = world.connect("ann"), world.connect("bob")
    for connection in (ann, bob):
        world.registry.writer.send(connection, b"{}")
    world.transports[ann].abort()
    world.registry.gone(ann)
    await asyncio.wait_for(world.registry.writer.flushed(), 5)
    assert world.transports[bob].frames() == [{}]


def test_a_flood_with_a_short_pause_is_a_flood_and_one_large_burst_is_not() -> None:
    clock = Clock()
    stumbling, bursting = Bucket(10, 20, clock), Bucket(10, 20, clock)
    for second in range(FLOOD_SECONDS):
        for _ in range(5 if second == 6 else 40):
            stumbling.take(1.0)
        for _ in range(1_000 if second == 0 else 1):
            bursting.take(1.0)
        clock.now += 1.0
    stumbling.take(1.0)
    bursting.take(1.0)
    assert stumbling.flooding
    assert not bursting.flooding
    for _ in range(1_000):
        bursting.take(1.0)
    clock.now += FLOOD_SECONDS
    bursting.take(1.0)
    assert not bursting.flooding

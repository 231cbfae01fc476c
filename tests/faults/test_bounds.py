"""Memory is bounded: of a gateway when a reader stalls, when no worker empties the bus, when the database is dead and when it
was paused; of a worker that meets a full bus."""

import asyncio
import contextlib
import uuid
from collections import Counter

import pytest
import redis.asyncio

from hubbub.events.v1.events_pb2 import Command, CommandBatch, Event, EventBatch, PostMessage
from tests.client import Socket, connect
from tests.faults.memory import resident, stopped
from tests.flow.world import World, eventually, flood, insist, live

MEBIBYTE = 1024 * 1024
STALLED = 15
"""Sockets that stop reading."""
UNREAD = MEBIBYTE
"""Bytes that the gateway keeps for each; the kernel's buffers do not count."""
SLACK = 48 * MEBIBYTE
TEXT = "x" * 16_000
_MOST_FLOODS = 15
COMMANDS_BOUND = 24 * MEBIBYTE
"""Bytes that one topic of commands can hold."""


async def test_a_reader_that_stalls_costs_its_own_bound_and_is_closed_with_4002(open_world: World) -> None:
    ann, bob, cat = await open_world.people("ann", "bob", "cat")
    here = bob.at(ann.url)
    room = await open_world.room(ann, bob, cat)
    gateway = open_world.stack.pids["gateway-0"]
    async with contextlib.AsyncExitStack() as opened, live(cat.at(ann.url)) as reader:
        stalled = [await opened.enter_async_context(live(here)) for _ in range(STALLED)]
        before = resident(gateway)
        async with contextlib.AsyncExitStack() as deafness:
            for socket in stalled:
                await deafness.enter_async_context(socket.deaf())
            count = 0
            while not await _closed(open_world):
                count += 1
                assert count < _MOST_FLOODS, "no socket was closed"
                await flood([ann], room, 100, TEXT)
            grown = resident(gateway) - before
        codes = Counter([await socket.closed(within=30) for socket in stalled])
        await reader.round_trip()
    assert codes == {4002: STALLED}
    assert grown < STALLED * UNREAD + SLACK, f"{grown / MEBIBYTE:.0f} MiB"
    seen = [frame["seq"] for frame in reader.received("event", channel=room)]
    assert seen == list(range(seen[0], seen[0] + len(seen))), "the other reader must miss nothing"


async def _closed(world: World) -> bool:
    """Whether the gateway has closed every stalled socket."""
    found = [line for line in (await world.metrics()).splitlines() if line.startswith('hubbub_gateway_closed_total{code="4002"}')]
    return bool(found) and float(found[0].split()[-1]) >= STALLED


async def test_a_full_bus_makes_sends_unavailable_before_memory_grows(open_world: World) -> None:
    (ann,) = await open_world.people("ann")
    room = await open_world.room(ann)
    pids = open_world.stack.pids
    sent = 3 * COMMANDS_BOUND // len(TEXT)
    async with connect(ann) as socket:  # without its flow, so that it receives no events
        with stopped(pids["messages-worker-0"], pids["messages-worker-1"]):
            before = resident(pids["gateway-0"])
            for number in range(sent):
                await socket.send("send", ref=number, channel=room, key=str(uuid.uuid4()), text=TEXT)
                if number % 100 == 0:
                    await socket.round_trip()  # read the refusals, or be closed as a slow consumer
            refused = await socket.expect("error")
            await socket.round_trip()
            grown = resident(pids["gateway-0"]) - before
        assert (refused["reason"], refused["retry_after"] > 0) == ("UNAVAILABLE", True)
        assert grown < 2 * COMMANDS_BOUND + SLACK, f"{grown / MEBIBYTE:.0f} MiB"
        await _answered(socket, sent)
    acknowledged = {frame["seq"] for frame in socket.received("ack")}
    assert acknowledged
    assert {frame["reason"] for frame in socket.received("error")} == {"UNAVAILABLE"}
    assert acknowledged <= {entry["seq"] for entry in await ann.log(room)}


PARTITIONS = 8
TURNS = 8
"""Entries that a worker takes of each partition while its memory is watched: several deliveries."""
WORKER_BYTES = 256 * MEBIBYTE
PAUSED_BYTES = 96 * MEBIBYTE
"""What a gateway may grow by while it reads what it has missed."""


def _entry(world: World, room: str, text: str) -> bytes:
    """Return an entry of 256 KiB for a command topic: posts of a user who is no member."""
    post = Command(tenant=world.tenant, channel=room, actor="nobody", key="k", id="none.1", post=PostMessage(text=text))
    each = CommandBatch(commands=[post]).SerializeToString()
    return each * (256 * 1024 // len(each))


@pytest.mark.parametrize("size", [60, 16_000])
async def test_a_worker_that_meets_a_full_bus_stays_within_its_memory(open_world: World, size: int) -> None:
    (ann,) = await open_world.people("ann")
    room = await open_world.room(ann)
    entry = _entry(open_world, room, "x" * size)
    pids = open_world.stack.pids
    worker, other = pids["messages-worker-0"], pids["messages-worker-1"]
    async with redis.asyncio.from_url(str(open_world.stack.endpoints["HUBBUB_BUS_URL"])) as bus:
        with stopped(other):  # until its leases have ended, so that one worker has all partitions
            with stopped(worker):
                for partition in range(PARTITIONS):
                    async with bus.pipeline(transaction=False) as filling:
                        for _ in range(COMMANDS_BOUND // (256 * 1024) - 1):
                            filling.xadd(f"bus:commands.{partition}", {"p": entry})
                        await filling.execute()
            full = [await bus.xlen(f"bus:commands.{partition}") for partition in range(PARTITIONS)]
            most = 0

            async def several_turns() -> bool:
                nonlocal most
                most = max(most, resident(worker))
                left = [await bus.xlen(f"bus:commands.{partition}") for partition in range(PARTITIONS)]
                return all(now <= before - TURNS for now, before in zip(left, full, strict=True))

            await eventually(several_turns, within=180)
            for partition in range(PARTITIONS):
                await bus.delete(f"bus:commands.{partition}")
    assert most < WORKER_BYTES, f"{most / MEBIBYTE:.0f} MiB"


async def test_a_gateway_that_was_paused_reads_what_it_missed_within_a_bound(open_world: World) -> None:
    (ann,) = await open_world.people("ann")
    room = await open_world.room(ann)
    gateway = open_world.stack.pids["gateway-1"]
    event = Event(tenant=open_world.tenant, channel=str(uuid.uuid4()), seq=1, payload=b"x" * 1_000)
    batch = EventBatch(events=[event] * 250).SerializeToString()
    async with (
        redis.asyncio.from_url(str(open_world.stack.endpoints["HUBBUB_BUS_URL"])) as bus,
        live(open_world.elsewhere(ann)) as socket,
    ):
        before = resident(gateway)
        with stopped(gateway):
            for partition in range(PARTITIONS):
                async with bus.pipeline(transaction=False) as filling:
                    for _ in range(15 * MEBIBYTE // len(batch)):
                        filling.xadd(f"bus:events.{partition}", {"p": batch})
                    await filling.execute()
            await asyncio.sleep(1.1)  # the pause under test
        await ann.post(room, "after the pause")
        await socket.expect("event", within=30)
        grown = resident(gateway) - before
    assert grown < PAUSED_BYTES, f"{grown / MEBIBYTE:.0f} MiB"


async def _answered(socket: Socket, sent: int) -> None:
    """Wait until every command has its outcome."""
    async with asyncio.timeout(40):
        while len(socket.received("ack")) + len(socket.received("error")) < sent:
            await socket.round_trip()
            await asyncio.sleep(0.1)


async def test_a_dead_database_makes_sends_fail_in_time_while_sockets_stay_open(open_world: World) -> None:
    ann, bob = await open_world.people("ann", "bob")
    room = await open_world.room(ann, bob)
    key = str(uuid.uuid4())
    async with live(ann) as here, live(bob) as there:
        with stopped(open_world.stack.pids["postgres"]):
            await here.send("send", ref="x", channel=room, key=key, text="hello")
            answer = await ann.call("POST", f"/v1/channels/{room}/messages", {"text": "hello"})
            assert (answer.status, answer.reason) == (503, "UNAVAILABLE")
            refused = await here.expect("error", within=20, ref="x")  # the gateway gives up after 10 s
            assert (refused["reason"], refused["retry_after"] > 0) == ("UNAVAILABLE", True)
            await here.round_trip()
            await there.round_trip()
        async with asyncio.timeout(20):
            seq = await insist(here, room, "hello", key)
        event = await there.expect("event", seq=seq)
        assert event["data"]["key"] == key

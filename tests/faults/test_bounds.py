"""The memory of a gateway is bounded when a reader stalls, when no worker empties the bus, and when the database is dead."""

import asyncio
import contextlib
import uuid
from collections import Counter

from tests.client import Socket, connect
from tests.faults.memory import resident, stopped
from tests.flow.world import World, flood, insist, live

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

"""One flooder slows nobody: while one socket sends as fast as it can, others are answered, and the flooder is told to stop."""

import asyncio
import contextlib
import statistics
import time

from tests.client import Closed, Socket
from tests.flow.world import World, live

SAMPLES = 40
SLOWER_AT_MOST = 20.0
FLOOR_SECONDS = 0.01
"""What a loaded machine may make of a round trip that is faster than this anyway."""


async def round_trips(socket: Socket) -> float:
    """The median of some round trips, seconds."""
    taken = []
    for _ in range(SAMPLES):
        began = time.perf_counter()
        await socket.round_trip()
        taken.append(time.perf_counter() - began)
        await asyncio.sleep(0.02)
    return statistics.median(taken)


async def test_a_flooder_is_refused_most_of_it_and_slows_nobody(world: World) -> None:
    ann, mallory = await world.person("ann"), await world.person("mallory")
    room = await world.room(mallory)
    async with live(ann) as witness, live(mallory) as flooder:

        async def flood() -> None:
            with contextlib.suppress(Closed):
                for number in range(1_000_000):
                    await flooder.send("send", ref=number, channel=room, key=str(number), text="x")
                    if number % 20 == 0:
                        await asyncio.sleep(0.005)

        calm = await round_trips(witness)
        flooding = asyncio.create_task(flood())
        stormy = await round_trips(witness)
        flooding.cancel()
        await asyncio.gather(flooding, return_exceptions=True)
        refused = flooder.received("error", reason="RATE_LIMITED")
        assert stormy < max(calm, FLOOR_SECONDS) * SLOWER_AT_MOST
        assert len(refused) > len(flooder.received("ack")), "most of a flood is refused, and costs no store anything"
        assert all(error["retry_after"] > 0 for error in refused)


async def test_whoever_goes_on_flooding_is_closed_with_4004(world: World) -> None:
    mallory = await world.person("mallory")
    async with live(mallory) as flooder:
        limit = flooder.hello["limits"]["sends_per_second"]

        async def flood() -> None:
            with contextlib.suppress(Closed):
                while True:
                    for _ in range(limit):
                        await flooder.send("send", channel="no-channel", key="k", text="x")
                    await asyncio.sleep(0.2)

        async with asyncio.TaskGroup() as group:
            flooding = group.create_task(flood())
            assert await flooder.closed(within=30) == 4004
            flooding.cancel()

"""One flooder slows nobody: while one socket sends as fast as it can, others are answered, and the flooder is told to stop."""

import asyncio
import contextlib
import itertools
import json
import statistics
import time
from itertools import pairwise

from tests.client import Api, Closed, Socket
from tests.client.wire import CONTINUATION, PING, PONG, TEXT, Wire, spell, wire
from tests.flow.world import World, live

SAMPLES = 40
SLOWER_AT_MOST = 20.0
FLOOR_SECONDS = 0.01
"""What a loaded machine may make of a round trip that is faster than this anyway."""
FLOOD = 15_000
"""Frames that one socket sends at once."""
BEAT_SECONDS = 0.2
CONTROL_COST = 0.2
"""Of a send, what a ping or a fragment of nothing counts."""


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
        ratio = stormy / max(calm, FLOOR_SECONDS)
        assert ratio < SLOWER_AT_MOST, f"others wait {ratio:.1f} times as long"
        assert len(refused) > len(flooder.received("ack")), "most of a flood is refused, and costs no store anything"
        assert all(error["retry_after"] > 0 for error in refused)


async def test_others_are_answered_in_the_midst_of_a_flood(world: World) -> None:
    """Counted rather than timed: how much of one socket's flood is answered between two answers to another socket."""
    ann, mallory = await world.person("ann"), await world.person("mallory")
    async with live(ann) as witness, wire(mallory) as flooder:
        answered = 0

        async def read() -> None:
            nonlocal answered
            while answered < FLOOD:
                await flooder.frame()
                answered += 1

        reading = asyncio.create_task(read())
        await flooder.send(*(spell(TEXT, json.dumps({"type": "ping", "ref": "x" * 200}).encode()) for _ in range(FLOOD)))
        turns = [0]
        while not reading.done():
            await witness.round_trip()
            turns.append(answered)
        await reading
    assert max(after - before for before, after in pairwise(turns)) < FLOOD / 2, turns


def beats(limit: int) -> dict[str, bytes]:
    """What each kind of flooder sends in a beat: thrice the limit, and among it a message, as silence has a code of its own."""
    cheap = int(3 * limit * BEAT_SECONDS / CONTROL_COST)
    ping = json.dumps({"type": "ping"}).encode()
    sending = json.dumps({"type": "send", "channel": "no-channel", "key": "k", "text": "x"}).encode()
    return {
        "sends": spell(TEXT, sending) * int(3 * limit * BEAT_SECONDS),
        "frames that are none": spell(TEXT, b'{"type":"none"}') * int(3 * limit * BEAT_SECONDS),
        "pings": spell(TEXT, ping) * cheap,
        "pings of the WebSocket": spell(TEXT, ping) + spell(PING, b"x") * cheap,
        "pongs that nobody asked for": spell(TEXT, ping) + spell(PONG, b"x") * cheap,
        "fragments of nothing": spell(TEXT, fin=False) + spell(CONTINUATION, fin=False) * cheap + spell(CONTINUATION, ping),
    }


async def flooded(api: Api, beat: bytes) -> int:
    """Send a beat again and again, what a slow moment held up included; returns the code that ends it."""
    clock = asyncio.get_running_loop().time

    async def flood(connection: Wire) -> None:
        began = clock()
        with contextlib.suppress(ConnectionError):
            for number in itertools.count(1):
                await connection.send(beat)
                await asyncio.sleep(max(0.0, began + number * BEAT_SECONDS - clock()))

    async with wire(api) as connection, asyncio.timeout(40):
        flooding = asyncio.create_task(flood(connection))
        try:
            return await connection.ended()
        finally:
            flooding.cancel()


async def test_whoever_goes_on_flooding_is_closed_with_4004_whatever_the_flood_is_made_of(world: World) -> None:
    async with live(await world.person("ann")) as socket:
        kinds = beats(socket.hello["limits"]["sends_per_second"])
    people = [await world.person(f"mallory-{number}", number % 2) for number in range(len(kinds))]
    codes = await asyncio.gather(*(flooded(api, beat) for api, beat in zip(people, kinds.values(), strict=True)))
    assert dict(zip(kinds, codes, strict=True)) == dict.fromkeys(kinds, 4004)

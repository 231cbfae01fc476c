"""A flooding socket does not slow others down: they are answered, and the flood is refused.

`services/gateway/tests/test_costs.py` counts what one socket gets of a turn of the event loop.
"""

import asyncio
import contextlib
import itertools
import json
import statistics
import time

from tests.client import Api, Closed, Socket
from tests.client.wire import CONTINUATION, PING, PONG, TEXT, Wire, spell, wire
from tests.flow.world import World, live

SAMPLES = 40
SLOWER_AT_MOST = 20.0
FLOOR_SECONDS = 0.01
"""Shorter round trips count as this long, since a loaded machine can delay them by as much."""
BLOW_BYTES = 20_000_000
BEAT_SECONDS = 0.2
CONTROL_COST = 0.2
"""The cost of a ping or an empty fragment, as a share of a send."""


async def round_trips(socket: Socket) -> float:
    """The median of some round trips in seconds."""
    taken = []
    for _ in range(SAMPLES):
        began = time.perf_counter()
        await socket.round_trip()
        taken.append(time.perf_counter() - began)
        await asyncio.sleep(0.02)
    return statistics.median(taken)


async def test_most_of_a_flood_is_refused_and_others_are_not_slowed_down(world: World) -> None:
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
        assert len(refused) > len(flooder.received("ack")), "most of a flood must be refused before it reaches a store"
        assert all(error["retry_after"] > 0 for error in refused)


def beats(limit: int) -> dict[str, bytes]:
    """One beat of each kind of flood: three times the limit, and one message, since a silent socket is closed with 4003."""
    cheap = int(3 * limit * BEAT_SECONDS / CONTROL_COST)
    ping = json.dumps({"type": "ping"}).encode()
    sending = json.dumps({"type": "send", "channel": "no-channel", "key": "k", "text": "x"}).encode()
    return {
        "sends": spell(TEXT, sending) * int(3 * limit * BEAT_SECONDS),
        "frames that are none": spell(TEXT, b'{"type":"none"}') * int(3 * limit * BEAT_SECONDS),
        "pings": spell(TEXT, ping) * cheap,
        "pings of the WebSocket": spell(TEXT, ping) + spell(PING, b"x") * cheap,
        "unsolicited pongs": spell(TEXT, ping) + spell(PONG, b"x") * cheap,
        "fragments of nothing": spell(TEXT, fin=False) + spell(CONTINUATION, fin=False) * cheap + spell(CONTINUATION, ping),
    }


async def flooded(api: Api, beat: bytes) -> int:
    """Send a beat repeatedly, and catch up after a delay; returns the close code."""
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


async def test_a_persistent_flood_of_any_kind_of_frame_is_closed_with_4004(world: World) -> None:
    async with live(await world.person("ann")) as socket:
        kinds = beats(socket.hello["limits"]["sends_per_second"])
    people = [await world.person(f"mallory-{number}", number % 2) for number in range(len(kinds))]
    codes = await asyncio.gather(*(flooded(api, beat) for api, beat in zip(people, kinds.values(), strict=True)))
    assert dict(zip(kinds, codes, strict=True)) == dict.fromkeys(kinds, 4004)


BLOWS = {
    "fragments of one byte": spell(TEXT, b"{", fin=False)
    + spell(CONTINUATION, b" ", fin=False) * 60_000
    + spell(CONTINUATION, b"}"),
    "text pings": spell(TEXT, b'{"type":"ping"}'),
    "pongs": spell(PONG),
    "pings of the WebSocket": spell(PING, b"x"),
    "brackets": spell(TEXT, b'{"type":"send","x":[' + b",".join([b"[]"] * 21_000) + b"]}"),
    "empty fragments": spell(TEXT, b"{", fin=False) + spell(CONTINUATION, fin=False) * 60_000,
    "deep groups": spell(TEXT, b'{"type":"ping","ref":[' + b",".join([b"[" * 29 + b"]" * 29] * 1_000) + b"]}"),
    "watches": spell(TEXT, json.dumps({"type": "watch", "users": [f"{number:08}" for number in range(900)]}).encode()),
}
"""Frames of each kind that are sent as fast as they are taken."""


async def blow(api: Api, piece: bytes) -> tuple[int, int]:
    """Send `BLOW_BYTES` of one kind; returns the close code, and how many bytes of it were taken."""
    block, taken = piece * max(1, 100_000 // len(piece)), 0

    async def send(connection: Wire) -> None:
        nonlocal taken
        with contextlib.suppress(ConnectionError):
            while taken < BLOW_BYTES:
                await connection.send(block)
                taken += len(block)

    async with wire(api) as connection, asyncio.timeout(30):
        sending = asyncio.create_task(send(connection))
        try:
            return await connection.ended(), taken
        finally:
            sending.cancel()


async def test_a_blow_of_any_kind_ends_the_socket_before_much_of_it_is_read(world: World) -> None:
    people = [await world.person(f"mallory-{number}", number % 2) for number in range(len(BLOWS))]
    async with live(await world.person("ann")) as here, live(await world.person("bob", 1)) as there:
        ended = await asyncio.gather(*(blow(api, piece) for api, piece in zip(people, BLOWS.values(), strict=True)))
        await asyncio.gather(here.round_trip(), there.round_trip())
    codes = {kind: code for kind, (code, _) in zip(BLOWS, ended, strict=True)}
    assert codes == {kind: 1009 if "fragments" in kind else 4004 for kind in BLOWS}
    assert all(taken < BLOW_BYTES for _, taken in ended), ended

"""A planned stop loses nothing: of a gateway full of sockets, and of every process in turn."""

import asyncio
import math
import signal
from collections import Counter
from collections.abc import Iterable

from stack import Stack
from tests.client import Api, connect
from tests.faults.nemesis import Nemesis
from tests.faults.prover import judged
from tests.faults.record import Refused
from tests.faults.swarm import Light
from tests.flow.world import World, eventually

SOCKETS, OF_ONE_USER = 2_000, 10
SPREAD = 10
"""Number of equal parts of the announced time; each must see a fair share of the reconnects."""


async def test_a_gateway_full_of_sockets_stops_without_a_loss_and_without_a_reconnect_storm(open_world: World) -> None:
    people = await open_world.people(*(f"user-{number}" for number in range(SOCKETS // OF_ONE_USER)))
    room = await open_world.room(*people)
    start = (await people[0].log(room))[-1]["seq"]
    swarm = [Light(api, open_world.urls, room, start) for api in people for _ in range(OF_ONE_USER)]
    stopping = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        lives = [group.create_task(light.run()) for light in swarm]
        await eventually(lambda: _all(len(light.opened) == 1 for light in swarm), within=60)
        writing = group.create_task(_write(people[1], room, stopping))
        pid = open_world.stack.kill("gateway-0", signal.SIGTERM)
        await eventually(lambda: _all(len(light.opened) == 2 for light in swarm), within=60)
        stopping.set()
        head = await writing
        await eventually(lambda: _all(light.position >= head for light in swarm), within=30)
        for life in lives:
            life.cancel()
        await open_world.stack.started("gateway-0", after=pid)
        await open_world.stack.serving("gateway-0")
    assert Counter(code for light in swarm for code in light.codes) == {1012: SOCKETS}
    assert sum(light.refused for light in swarm) == 0
    for light in swarm:
        assert light.seen == list(range(start + 1, head + 1))
    _spread([light.reconnects[0] for light in swarm])


async def _all(conditions: Iterable[bool]) -> bool:
    return all(conditions)


def _spread(announced: list[int]) -> None:
    """Check that the reconnects are spread over the announced time."""
    longest = max(announced)
    shares = Counter(math.floor(after * SPREAD / (longest + 1)) for after in announced)
    assert len(shares) == SPREAD
    assert max(shares.values()) < 2 * SOCKETS / SPREAD


async def _write(api: Api, room: str, stopping: asyncio.Event) -> int:
    """Post at the gateway that keeps running; returns the last number."""
    seq = 0
    async with connect(api) as socket:
        while not stopping.is_set():
            answer = await socket.post(room, f"key {seq}", "still here")
            assert answer["type"] == "ack", answer
            seq = answer["seq"]
            await asyncio.sleep(0.05)
    return seq


async def test_a_rolling_restart_under_load_causes_no_error(roomy: Stack) -> None:
    async def roll(nemesis: Nemesis) -> None:
        for name in ("messages-worker-0", "messages-worker-1", "gateway-0", "gateway-1", "presence", "media"):
            await nemesis.kill(name, signal.SIGTERM)
            await nemesis.healed()

    verdict = await judged(roomy, roll, seed=3)
    assert not verdict.findings, [verdict.line, *map(str, verdict.findings)]
    assert verdict.acknowledged > 100, verdict.line
    errors = [attempt for attempt in verdict.record.attempts if isinstance(attempt.outcome, Refused)]
    assert not errors, errors[:5]
    assert verdict.slowest_seconds < 8, verdict.line

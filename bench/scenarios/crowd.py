"""Many sockets on one machine, and messages that reach all of them."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from functools import partial

from bench import processes
from bench.environment import FLOOR, HUBBUB, Environment, connect
from bench.generator import Answer, Generator
from bench.measure import problems_of, repeat_until_quiet
from bench.outcome import Outcome, Table
from bench.people import People
from bench.systems.floor import floor
from bench.systems.system import place

_CITY = {
    "full": People("city", 50_000, (50_000, *[500] * 9)),
    "quick": People("suburb", 2_000, (2_000, *[500] * 9)),
}
_GENERATORS = 4
"""Each stays well below the usual limit of 20,000 open files."""
_IDLE_SECONDS = {"full": 60.0, "quick": 5.0}
"""The full run covers more than two heartbeats of every client."""
_MESSAGES = 5
_ARRIVAL_SECONDS = 30
_AT_ONCE = 32
_MAX_MIB = 1.2e9 / 2**20


async def crowd(environment: Environment) -> Outcome:
    """All users connect, idle with heartbeats, and then receive one message after another."""
    people, idle_seconds = _CITY[environment.scale.name], _IDLE_SECONDS[environment.scale.name]
    async with _connected(environment, people) as (generators, opened):
        idle = await asyncio.gather(
            *(generator.ask("idle", seconds=idle_seconds, timeout_seconds=idle_seconds + 30) for generator in generators)
        )
        idle_mib = _gateways_mib(environment)
        arrivals = [await repeat_until_quiet(environment, partial(_one_message, generators, people)) for _ in range(_MESSAGES)]
        loaded_mib = _gateways_mib(environment)
    to_all = [_seconds_to_all(answers) for answers in arrivals]
    least = await _floor_seconds(environment, people)
    reached = [float(sum(answer.deliveries for answer in answers)) for answers in arrivals]
    kept = people.users - sum(answer.dropped for answer in idle)
    outcome = Outcome(
        "crowd",
        f"{people.users:,} authenticated sockets on this machine",
        f"{people.users:,} users with {len(people.layers)} channels each at {len(environment.systems[HUBBUB].targets)} gateways, "
        f"from {_GENERATORS} load generators; {idle_seconds:g} s of heartbeats, then {_MESSAGES} messages to a room of all "
        "users, each timed from sending to the last delivery. Clients and servers share the cores. For comparison, as many "
        f"sockets at {_GENERATORS} C floors, each of which sends its share of a message at the same time.",
        tables=[
            Table.of("all gateways' memory, idle", "MiB", {HUBBUB: [idle_mib]}),
            Table.of("all gateways' memory, after the messages", "MiB", {HUBBUB: [loaded_mib]}),
            Table.of("sockets reached by a message", "", {HUBBUB: reached}),
            Table.of("time to reach them all", "s", {FLOOR: least, HUBBUB: to_all}),
            Table.of("time to connect them all", "s", {HUBBUB: [max(answer.seconds for answer in opened)]}),
        ],
        notes=problems_of({"connecting": opened, "idle": idle}),
    )
    outcome.expect_at_most("crowd: gateways' memory [MiB]", max(idle_mib, loaded_mib), _MAX_MIB)
    outcome.expect_at_least("crowd: sockets kept while idle", float(kept), people.users)
    outcome.expect_at_least("crowd: sockets reached by every message", min(reached), people.users)
    return outcome


@contextlib.asynccontextmanager
async def _connected(environment: Environment, people: People) -> AsyncIterator[tuple[list[Generator], list[Answer]]]:
    """Connect all users from several generators. Yield the generators and their answers."""
    hubbub = environment.systems[HUBBUB]
    plan = await environment.plan(hubbub, people, [0])
    place(hubbub, pinned=False)
    share, targets = people.users // _GENERATORS, len(hubbub.targets)
    async with contextlib.AsyncExitStack() as stack:
        generators: list[Generator] = []
        for number in range(_GENERATORS):
            part = ("--first", str(number * share))
            generator = environment.generator_for(hubbub, plan, share, *part, targets=targets, pinned=False)
            generators.append(await stack.enter_async_context(generator))
        yield generators, await asyncio.gather(*(connect(generator, at_once=_AT_ONCE) for generator in generators))


async def _one_message(generators: Sequence[Generator], people: People) -> list[Answer]:
    """Send one message from the first generator. All generators wait for their share of the deliveries."""
    sender, *others = generators
    for generator in others:
        await generator.listen(people.users // _GENERATORS, _ARRIVAL_SECONDS)
    await sender.start("round", window=1, messages=1, seconds=_ARRIVAL_SECONDS)
    return list(await asyncio.gather(*(generator.result(_ARRIVAL_SECONDS + 10) for generator in generators)))


async def _floor_seconds(environment: Environment, people: People) -> list[float]:
    """Return the time that the floor needs to reach as many sockets, with one `send` each."""
    share = people.users // _GENERATORS
    async with contextlib.AsyncExitStack() as stack:
        generators: list[Generator] = []
        for number in range(_GENERATORS):
            logs = environment.folder / f"floor-{number}"
            logs.mkdir(exist_ok=True)
            server = await stack.enter_async_context(floor(FLOOR, environment.programs.floor, logs))
            place(server, pinned=False)
            plan = await environment.plan(server, people, [0])
            part = ("--first", str(number * share))
            generators.append(
                await stack.enter_async_context(environment.generator_for(server, plan, share, *part, pinned=False))
            )
        await asyncio.gather(*(connect(generator, at_once=_AT_ONCE) for generator in generators))
        arrivals = [await repeat_until_quiet(environment, partial(_one_message_each, generators)) for _ in range(_MESSAGES)]
    return [_seconds_to_all(answers) for answers in arrivals]


async def _one_message_each(generators: Sequence[Generator]) -> list[Answer]:
    asking = (generator.ask("round", window=1, messages=1, seconds=_ARRIVAL_SECONDS) for generator in generators)
    return list(await asyncio.gather(*asking))


def _seconds_to_all(answers: Sequence[Answer]) -> float:
    return max(answer.latency_to_each.percentile_ms(100) for answer in answers) / 1000


def _gateways_mib(environment: Environment) -> float:
    return sum(processes.memory_kib(pid) for pid in environment.systems[HUBBUB].watch()["server"]) / 1024

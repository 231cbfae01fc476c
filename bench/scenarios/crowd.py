"""Many sockets held on one machine, and one message that reaches them all."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from functools import partial

from bench import processes
from bench.generator import Answer, Generator
from bench.measure import troubles, undisturbed
from bench.outcome import Outcome, Table
from bench.people import People
from bench.stage import FLOOR, HUBBUB, Stage, connect
from bench.systems.floor import floor
from bench.systems.system import place

_CITY = {
    "full": People("city", 50_000, (50_000, *[500] * 9)),
    "quick": People("suburb", 2_000, (2_000, *[500] * 9)),
}
_GENERATORS = 4
"""So that each stays well below the usual 20,000 open files of a process."""
_IDLE_SECONDS = {"full": 60.0, "quick": 5.0}
"""In the full run more than two heartbeats of every client."""
_MESSAGES = 5
_ARRIVAL_SECONDS = 30
_AT_ONCE = 32
_MOST_MIB = 1.2e9 / 2**20


async def crowd(stage: Stage) -> Outcome:
    """Every user connects, sits idle with heartbeats, and receives one message after another."""
    people, idle_seconds = _CITY[stage.scale.name], _IDLE_SECONDS[stage.scale.name]
    async with _connected(stage, people) as (generators, opened):
        idle = await asyncio.gather(
            *(generator.ask("idle", seconds=idle_seconds, timeout_seconds=idle_seconds + 30) for generator in generators)
        )
        idle_mib = _gateways_mib(stage)
        arrivals = [await undisturbed(stage, partial(_one_message, generators, people)) for _ in range(_MESSAGES)]
        loaded_mib = _gateways_mib(stage)
    to_all = [_seconds_to_all(answers) for answers in arrivals]
    least = await _floor_seconds(stage, people)
    reached = [float(sum(answer.deliveries for answer in answers)) for answers in arrivals]
    kept = people.users - sum(answer.dropped for answer in idle)
    outcome = Outcome(
        "crowd",
        f"{people.users:,} authenticated sockets on this machine",
        f"{people.users:,} users with {len(people.layers)} channels each at {len(stage.systems[HUBBUB].targets)} gateways, "
        f"from {_GENERATORS} load generators; {idle_seconds:g} s of heartbeats, then {_MESSAGES} messages to the room in "
        "which all are, each timed from its sending to its last arrival. Clients and servers share the cores. Beside it as many "
        f"sockets at {_GENERATORS} C floors, which all send their share of a message at once.",
        tables=[
            Table.of("all gateways' memory, idle", "MiB", {HUBBUB: [idle_mib]}),
            Table.of("all gateways' memory, after the messages", "MiB", {HUBBUB: [loaded_mib]}),
            Table.of("sockets reached by a message", "", {HUBBUB: reached}),
            Table.of("time to reach them all", "s", {FLOOR: least, HUBBUB: to_all}),
            Table.of("time to connect them all", "s", {HUBBUB: [max(answer.seconds for answer in opened)]}),
        ],
        notes=troubles({"connecting": opened, "idle": idle}),
    )
    outcome.expect_at_most("crowd: gateways' memory [MiB]", max(idle_mib, loaded_mib), _MOST_MIB)
    outcome.expect_at_least("crowd: sockets kept while idle", float(kept), people.users)
    outcome.expect_at_least("crowd: sockets reached by every message", min(reached), people.users)
    return outcome


@contextlib.asynccontextmanager
async def _connected(stage: Stage, people: People) -> AsyncIterator[tuple[list[Generator], list[Answer]]]:
    """Connect every user from several generators; yields them and their answers."""
    hubbub = stage.systems[HUBBUB]
    plan = await stage.plan(hubbub, people, [0])
    place(hubbub, pinned=False)
    share, targets = people.users // _GENERATORS, len(hubbub.targets)
    async with contextlib.AsyncExitStack() as stack:
        generators: list[Generator] = []
        for number in range(_GENERATORS):
            part = ("--first", str(number * share))
            generator = stage.generator_for(hubbub, plan, share, *part, targets=targets, pinned=False)
            generators.append(await stack.enter_async_context(generator))
        yield generators, await asyncio.gather(*(connect(generator, at_once=_AT_ONCE) for generator in generators))


async def _one_message(generators: Sequence[Generator], people: People) -> list[Answer]:
    """The first generator sends, and all of them wait for their share of the deliveries."""
    sender, *others = generators
    for generator in others:
        await generator.listen(people.users // _GENERATORS, _ARRIVAL_SECONDS)
    await sender.tell("round", window=1, messages=1, seconds=_ARRIVAL_SECONDS)
    return list(await asyncio.gather(*(generator.hear(_ARRIVAL_SECONDS + 10) for generator in generators)))


async def _floor_seconds(stage: Stage, people: People) -> list[float]:
    """How long it takes to reach the same number of sockets with one `send` each and nothing else."""
    share = people.users // _GENERATORS
    async with contextlib.AsyncExitStack() as stack:
        generators: list[Generator] = []
        for number in range(_GENERATORS):
            logs = stage.folder / f"floor-{number}"
            logs.mkdir(exist_ok=True)
            server = await stack.enter_async_context(floor(FLOOR, stage.programs.floor, logs))
            place(server, pinned=False)
            plan = await stage.plan(server, people, [0])
            part = ("--first", str(number * share))
            generators.append(await stack.enter_async_context(stage.generator_for(server, plan, share, *part, pinned=False)))
        await asyncio.gather(*(connect(generator, at_once=_AT_ONCE) for generator in generators))
        arrivals = [await undisturbed(stage, partial(_one_message_each, generators)) for _ in range(_MESSAGES)]
    return [_seconds_to_all(answers) for answers in arrivals]


async def _one_message_each(generators: Sequence[Generator]) -> list[Answer]:
    asking = (generator.ask("round", window=1, messages=1, seconds=_ARRIVAL_SECONDS) for generator in generators)
    return list(await asyncio.gather(*asking))


def _seconds_to_all(answers: Sequence[Answer]) -> float:
    return max(answer.to_each.percentile_ms(100) for answer in answers) / 1000


def _gateways_mib(stage: Stage) -> float:
    return sum(processes.memory_kib(pid) for pid in stage.systems[HUBBUB].watch()["server"]) / 1024

"""Many sockets: 50,000 held on one machine and reached by one message, and 10,000 that come back after a killed gateway."""

import asyncio
import contextlib
from collections.abc import Sequence
from functools import partial
from typing import cast

from bench import processes
from bench.generator import Answer, Generator
from bench.measure import troubles, undisturbed
from bench.outcome import Outcome, Table
from bench.people import People
from bench.stage import HUBBUB, Stage, connect
from bench.systems.hubbub import Hubbub
from bench.systems.system import place

_CITY = People("city", 50_000, (50_000, *[500] * 9))
_GENERATORS = 4
"""So that each stays well below the usual 20,000 open files of a process."""
_IDLE_SECONDS = 60
"""More than two heartbeats of every client."""
_MESSAGES = 5
_ARRIVAL_SECONDS = 30
_QUARTER = People("quarter", 10_000, (500,) * 10)
_SPREAD_MS = 2000
"""Over which clients that lost their gateway spread their return, as the web client does."""


async def crowd(stage: Stage) -> Outcome:
    """Everybody connects, sits idle with heartbeats, and receives one message after another."""
    hubbub = stage.systems[HUBBUB]
    async with contextlib.AsyncExitStack() as stack:
        plan = await stage.plan(hubbub, _CITY, [0])
        place(hubbub, pinned=False)
        share = _CITY.users // _GENERATORS
        generators = [
            await stack.enter_async_context(
                stage.generator_for(hubbub, plan, share, "--first", str(number * share), targets=len(hubbub.targets))
            )
            for number in range(_GENERATORS)
        ]
        opened = await asyncio.gather(*(connect(generator, at_once=32) for generator in generators))
        idle = await asyncio.gather(
            *(generator.ask("idle", seconds=_IDLE_SECONDS, timeout_seconds=_IDLE_SECONDS + 30) for generator in generators)
        )
        idle_mib = _gateways_mib(stage)
        arrivals = [await undisturbed(stage, partial(_one_message, generators)) for _ in range(_MESSAGES)]
        loaded_mib = _gateways_mib(stage)
    to_all = [max(answer.to_each.percentile_ms(100) for answer in answers) / 1000 for answers in arrivals]
    reached = [float(sum(answer.deliveries for answer in answers)) for answers in arrivals]
    outcome = Outcome(
        "crowd",
        f"{_CITY.users:,} authenticated sockets on this machine",
        f"{_CITY.users:,} users with {len(_CITY.layers)} channels each at {len(hubbub.targets)} gateways, from {_GENERATORS} "
        f"load generators; {_IDLE_SECONDS} s of heartbeats, then {_MESSAGES} messages to the room in which all are, each "
        "timed from its sending to its last arrival. Clients and servers share the cores.",
        tables=[
            Table.of("all gateways' memory, idle", "MiB", {HUBBUB: [idle_mib]}),
            Table.of("all gateways' memory, after the messages", "MiB", {HUBBUB: [loaded_mib]}),
            Table.of("sockets reached by a message", "", {HUBBUB: reached}),
            Table.of("time to reach them all", "s", {HUBBUB: to_all}),
            Table.of("time to connect them all", "s", {HUBBUB: [max(answer.seconds for answer in opened)]}),
        ],
        notes=troubles({"connecting": opened, "idle": idle}),
    )
    outcome.expect_at_most("50,000 sockets: gateways' memory [MiB]", max(idle_mib, loaded_mib), 1.2 * 1e9 / 2**20)
    kept = _CITY.users - sum(each.dropped for each in idle)
    outcome.expect_at_least("50,000 sockets: kept while idle", float(kept), _CITY.users)
    outcome.expect_at_least("50,000 sockets: reached by every message", min(reached), _CITY.users)
    return outcome


async def _one_message(generators: Sequence[Generator]) -> list[Answer]:
    sender, *others = generators
    share = _CITY.users // _GENERATORS
    for generator in others:
        await generator.tell("listen", expect=share, timeout=_ARRIVAL_SECONDS)
    await sender.tell("round", window=1, messages=1, seconds=_ARRIVAL_SECONDS)
    return list(await asyncio.gather(*(generator.hear(_ARRIVAL_SECONDS + 10) for generator in generators)))


def _gateways_mib(stage: Stage) -> float:
    return sum(processes.memory_kib(pid) for pid in stage.systems[HUBBUB].watch()["server"]) / 1024


async def recovery(stage: Stage) -> Outcome:
    """All clients of one gateway lose it without warning, and resume at another."""
    hubbub = cast("Hubbub", stage.systems[HUBBUB])
    plan = await stage.plan(hubbub, _QUARTER, [0])
    place(hubbub, pinned=False)
    answers = []
    for _ in range(3):
        async with stage.generator_for(hubbub, plan, _QUARTER.users, "--gather", "--resume", targets=2) as generator:
            await connect(generator)
            await generator.tell("recover", hubbub.watch(), expect=_QUARTER.users, spread_ms=_SPREAD_MS, timeout=60)
            await hubbub.kill_gateway(0)
            answers.append(await generator.hear(70))
            await hubbub.until_serving()
    seconds = [answer.seconds for answer in answers]
    outcome = Outcome(
        "recovery",
        f"{_QUARTER.users:,} clients come back after a killed gateway",
        f"kill -9 of the gateway that holds {_QUARTER.users:,} clients; each connects to another at random within "
        f"{_SPREAD_MS:,} ms, again when refused, and resumes its ten channels from its positions. Time until the last is back.",
        tables=[
            Table.of("time until all are back", "s", {HUBBUB: seconds}),
            Table.of("clients back", "", {HUBBUB: [float(answer.ready) for answer in answers]}),
        ],
        notes=troubles({HUBBUB: answers}),
    )
    outcome.expect_at_most("10,000 clients back after a killed gateway [s]", max(seconds), 20)
    outcome.expect_at_least("10,000 clients: back", float(min(answer.ready for answer in answers)), _QUARTER.users)
    return outcome

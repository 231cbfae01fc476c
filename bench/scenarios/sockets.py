"""The cost of an idle socket, and of opening one."""

import asyncio
from functools import partial

from bench import processes, svg
from bench.environment import HUBBUB, REFERENCE, Environment, Subject, connect
from bench.generator import Answer
from bench.measure import each, problems_of, repeat_until_quiet
from bench.outcome import Outcome, Table
from bench.people import People
from bench.scenarios.town import TOWN
from bench.systems.system import System, place

_VILLAGE = People("village", 5000, (10,) * 10)
_FIRST = 100
"""Sockets before the first reading, to exclude memory that a process allocates for its first clients."""
_SETTLE_SECONDS = {"full": 3.0, "quick": 1.0}
_BETWEEN_SECONDS = 1.0
_AT_ONCE = 64


async def memory(environment: Environment) -> Outcome:
    """Memory of the server process before and after opening many sockets, in a new process each time."""
    people, repeats = (_VILLAGE, 3) if environment.scale.name == "full" else (TOWN, 1)
    found: dict[str, list[float]] = {}
    for name in (HUBBUB, REFERENCE):
        if name in environment.systems:
            found[name] = [await _kib_per_socket(environment, environment.systems[name], people) for _ in range(repeats)]
    table = Table.of("memory per idle authenticated socket", "KiB", found)
    outcome = Outcome(
        "memory",
        "Memory per idle authenticated socket",
        f"{people.users:,} sockets, each in {len(people.layers)} channels, in a new process: growth of the process's "
        f"memory (Pss) from {_FIRST} sockets to all, per socket. Socket buffers in the kernel are not included.",
        tables=[table],
        plots={"memory": svg.bars("Memory per idle socket", "KiB", table)},
    )
    outcome.expect_at_most("memory per idle socket [KiB]: Hubbub", table.median_of(HUBBUB), 16)
    outcome.expect_at_most("memory per idle socket: Hubbub / Socket.IO stack", table.ratio(HUBBUB, REFERENCE), 1.0)
    return outcome


async def _kib_per_socket(environment: Environment, system: System, people: People) -> float:
    plan = await environment.plan(system, people, [0])
    await system.restart_server()
    place(system, pinned=True)
    async with (
        environment.generator_for(system, plan, _FIRST) as first,
        environment.generator_for(system, plan, people.users - _FIRST, "--first", str(_FIRST)) as rest,
    ):
        await connect(first)
        await asyncio.sleep(_SETTLE_SECONDS[environment.scale.name])
        before = _server_kib(system)
        await connect(rest)
        await asyncio.sleep(_SETTLE_SECONDS[environment.scale.name])
        return (_server_kib(system) - before) / (people.users - _FIRST)


def _server_kib(system: System) -> int:
    return sum(processes.memory_kib(pid) for pid in system.watch()["server"])


async def connects(environment: Environment) -> Outcome:
    """All clients connect: token check, session, hello, first sync."""
    async with environment.connected(TOWN, [0], [HUBBUB, REFERENCE]) as subjects:
        answers: dict[str, list[Answer]] = {subject.name: [] for subject in subjects}
        for _ in range(environment.scale.rounds):
            for subject in subjects:
                answers[subject.name].append(await repeat_until_quiet(environment, partial(_connect_again, subject)))
    per_core = Table.of(
        "connects per second of the server's processor time",
        "/s",
        each(answers, lambda answer: answer.opened / answer.cpu["server"]),
    )
    outcome = Outcome(
        "connects",
        "Connects per second",
        f"{TOWN.users:,} clients connect, {_AT_ONCE} at a time: ES256 token checked before the upgrade, ten channels looked "
        "up, hello; with Hubbub also the first sync and its answer.",
        tables=[
            per_core,
            Table.of("connects per second, as measured", "/s", each(answers, lambda answer: answer.opened / answer.seconds)),
        ],
        plots={"connects": svg.bars("Connects", "connects per second of server CPU", per_core)},
        notes=problems_of(answers),
    )
    outcome.expect_at_least("connects/s per core: Hubbub", per_core.median_of(HUBBUB), 1000)
    return outcome


async def _connect_again(subject: Subject) -> Answer:
    await subject.ask("disconnect")
    await asyncio.sleep(_BETWEEN_SECONDS)
    return await subject.ask("connect", at_once=_AT_ONCE, timeout=60)

"""The cost of an idle client, and of opening a socket."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial

from bench import processes, svg
from bench.environment import HUBBUB, HUBBUB_SOCKETIO, REFERENCE, Environment, Subject, connect
from bench.generator import Answer
from bench.measure import each, problems_of, repeat_until_quiet
from bench.outcome import Outcome, Table
from bench.people import People
from bench.polling_clients import polling
from bench.scenarios.town import TOWN
from bench.systems.system import System, place

_VILLAGE = People("village", 5000, (10,) * 10)
_FIRST = 100
"""Clients before the first reading, to exclude memory that a process allocates for its first clients."""
_SETTLE_SECONDS = {"full": 3.0, "quick": 1.0}
_BETWEEN_SECONDS = 1.0
_AT_ONCE = 64
_POLLING = "Hubbub, Socket.IO polling"

Clients = Callable[[Environment, System, People, range], AbstractAsyncContextManager[None]]
"""Connects the users with these numbers, and keeps them connected inside the block."""


async def memory(environment: Environment) -> Outcome:
    """Memory of the server process before and after many clients connect, in a new process each time."""
    people, repeats = (_VILLAGE, 3) if environment.scale.name == "full" else (TOWN, 1)
    found: dict[str, list[float]] = {}
    for label, name, clients in (
        (HUBBUB, HUBBUB, _sockets),
        (HUBBUB_SOCKETIO, HUBBUB_SOCKETIO, _sockets),
        (_POLLING, HUBBUB_SOCKETIO, _polling_clients),
        (REFERENCE, REFERENCE, _sockets),
    ):
        if name in environment.systems:
            system = environment.systems[name]
            found[label] = [await _kib_per_client(environment, system, people, clients) for _ in range(repeats)]
    table = Table.of("memory per idle authenticated client", "KiB", found)
    outcome = Outcome(
        "memory",
        "Memory per idle authenticated client",
        f"{people.users:,} clients, each in {len(people.layers)} channels, in a new process: growth of the process's "
        f"memory (Pss) from {_FIRST} clients to all, per client. Each has a WebSocket, or polls and has a request that waits. "
        "Socket buffers in the kernel are not included.",
        tables=[table],
        plots={"memory": svg.bars("Memory per idle client", "KiB", table)},
    )
    outcome.expect_at_most("memory per idle socket [KiB]: Hubbub", table.median_of(HUBBUB), 16)
    outcome.expect_at_most("memory per idle socket: Hubbub / Socket.IO stack", table.ratio(HUBBUB, REFERENCE), 1.0)
    outcome.expect_at_most(
        "memory per idle socket: Hubbub over Socket.IO / Socket.IO stack", table.ratio(HUBBUB_SOCKETIO, REFERENCE), 1.0
    )
    outcome.expect_at_most("memory over Socket.IO: polling / WebSocket", table.ratio(_POLLING, HUBBUB_SOCKETIO), 3.0)
    return outcome


async def _kib_per_client(environment: Environment, system: System, people: People, clients: Clients) -> float:
    await environment.room_ids(system, people)
    await system.restart_server()
    place(system, pinned=True)
    async with clients(environment, system, people, range(_FIRST)):
        await asyncio.sleep(_SETTLE_SECONDS[environment.scale.name])
        before = _server_kib(system)
        async with clients(environment, system, people, range(_FIRST, people.users)):
            await asyncio.sleep(_SETTLE_SECONDS[environment.scale.name])
            return (_server_kib(system) - before) / (people.users - _FIRST)


@asynccontextmanager
async def _sockets(environment: Environment, system: System, people: People, numbers: range) -> AsyncIterator[None]:
    """Clients with a WebSocket, for the users with these numbers."""
    plan = await environment.plan(system, people, [0])
    async with environment.generator_for(system, plan, len(numbers), "--first", str(numbers.start)) as generator:
        await connect(generator)
        yield


@asynccontextmanager
async def _polling_clients(environment: Environment, system: System, people: People, numbers: range) -> AsyncIterator[None]:
    """Clients that poll, for the users with these numbers."""
    async with polling(system.targets[0], environment.tokens(people)[numbers.start : numbers.stop]):
        yield


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

"""`python -m bench.run` measures Hubbub, the reference stack and the floor side by side on this machine, and writes a report."""

import argparse
import asyncio
import contextlib
import os
import shlex
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from bench import machine, report
from bench.build import BUILD, HERE, BuildError, Programs, build
from bench.environment import (
    BARE_REFERENCE,
    FLOOR,
    FULL,
    FULL_HUBBUB,
    HUBBUB,
    HUBBUB_SOCKETIO,
    JOINED_FLOOR,
    QUICK,
    REFERENCE,
    Environment,
    Scale,
)
from bench.feeder import FeedError
from bench.generator import LoadError
from bench.measure import BusyError
from bench.outcome import Outcome
from bench.people import Issuer
from bench.scenarios import crowd, fanout, flatness, latency, recovery, rooms, sockets, storm, worker
from bench.svg import number
from bench.systems.floor import floor
from bench.systems.hubbub import Hubbub, SocketIoDoor
from bench.systems.reference import reference, stores
from bench.systems.system import OTHER_CORES, System
from bench.volume.shape import Shape
from stack.errors import StackError

Scenario = Callable[[Environment], Awaitable[Outcome]]

SIDE_BY_SIDE: dict[str, Scenario] = {
    "memory": sockets.memory,
    "connects": sockets.connects,
    "fan-out": fanout.one_by_one,
    "fan-out-joined": fanout.joined,
    "rooms": rooms.rooms,
    "durable": rooms.durable,
    "latency": latency.latency,
}
"""With one gateway, next to the reference stack and the floor. The quick run has only these."""
ALONE: dict[str, Scenario] = {
    "worker": worker.worker,
    "members": flatness.members,
    "channels": flatness.channels,
    "storm": storm.storm,
}
"""With one gateway and no other system."""
INDEXED: dict[str, Scenario] = {"search": rooms.indexed}
"""With one gateway and the search process, which runs in no other scenario."""
STORED: dict[str, Scenario] = {"volume": rooms.stored}
"""With one gateway, next to a product whose store is full."""
SPREAD: dict[str, Scenario] = {"gateways": flatness.gateways, "recovery": recovery.recovery, "crowd": crowd.crowd}
"""With four gateways and no other system."""
_GATEWAYS = 4
EVERY = [*SIDE_BY_SIDE, *ALONE, *INDEXED, *STORED, *SPREAD]


def main() -> int:
    """Run the scenarios. Return 1 if some could not be measured; the report names them."""
    parser = argparse.ArgumentParser(prog="python -m bench.run", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--quick", action="store_true", help="fewer, shorter rounds of the side-by-side scenarios, under two minutes"
    )
    parser.add_argument("--only", help="scenarios to run, comma separated: " + ", ".join(EVERY))
    parser.add_argument("--systems", default="hubbub,reference,floor", help="any of hubbub, reference, floor (default: all)")
    parser.add_argument("--rounds", type=int, help="per scenario (5; quick: 3); a full run with 3 takes a quarter of an hour")
    parser.add_argument("--minutes", type=float, help="after this time, disturbed rounds are reported instead of repeated")
    parser.add_argument("--noisy", action="store_true", help="accept a busy machine: to try the bench, not to measure")
    parser.add_argument("--out", type=Path, help="folder for the report")
    options = parser.parse_args()
    os.sched_setaffinity(0, OTHER_CORES)  # inherited by all processes that are not pinned otherwise
    try:
        return asyncio.run(_run(options))
    except (BuildError, StackError) as error:
        sys.stderr.write(f"{error}\n")
        return 1


async def _run(options: argparse.Namespace) -> int:
    scale = replace(QUICK if options.quick else FULL, noise_allowed=options.noisy)
    if options.rounds:
        scale = replace(scale, rounds=options.rounds)
    if options.minutes:
        scale = replace(scale, deadline=time.monotonic() + 60 * options.minutes)
    wanted = set((options.only or ",".join(SIDE_BY_SIDE if options.quick else EVERY)).split(","))
    systems = set(options.systems.split(","))
    programs = await build(reference="reference" in systems)
    outcomes: list[Outcome] = []
    failures: dict[str, str] = {}
    for scenarios, gateways in ((SIDE_BY_SIDE, 1), (ALONE, 1), (INDEXED, 1), (STORED, 1), (SPREAD, _GATEWAYS)):
        chosen = {name: scenario for name, scenario in scenarios.items() if name in wanted}
        if chosen:
            selected = systems if scenarios is SIDE_BY_SIDE else systems & {"hubbub"}
            search = scenarios is INDEXED
            if scenarios is STORED:
                selected = selected | {"full"}
            async with _environment(scale, programs, selected, gateways, search=search) as environment:
                await _run_scenarios(environment, chosen, outcomes, failures)
    folder = options.out or HERE / "results" / ("quick" if options.quick else "")
    command = shlex.join(["python", "-m", "bench.run", *sys.argv[1:]])
    page = report.write(folder, await machine.describe(HERE.parent), command, outcomes, failures)
    _print_verdicts(outcomes, page)
    return 1 if failures else 0


@contextlib.asynccontextmanager
async def _environment(
    scale: Scale, programs: Programs, wanted: set[str], gateways: int, *, search: bool
) -> AsyncIterator[Environment]:
    """Run the selected systems inside the block."""
    folder = BUILD / "run"
    folder.mkdir(mode=0o711, parents=True, exist_ok=True)
    issuer = Issuer(folder)
    up: dict[str, System] = {}
    async with contextlib.AsyncExitStack() as running:
        if "floor" in wanted:
            up[FLOOR] = await running.enter_async_context(floor(FLOOR, programs.floor, folder))
            up[JOINED_FLOOR] = await running.enter_async_context(floor(JOINED_FLOOR, programs.floor, folder, join=16))
        if "reference" in wanted and programs.reference:
            under = await running.enter_async_context(stores(BUILD / "reference"))
            for name, store in ((REFERENCE, True), (BARE_REFERENCE, False)):
                server = reference(name, programs.reference, issuer.jwks_file, under, folder, store=store)
                up[name] = await running.enter_async_context(server)
        if "hubbub" in wanted:
            product = Hubbub(BUILD / "hubbub", issuer.jwks_file, gateways=gateways, search=search)
            up[HUBBUB] = await running.enter_async_context(product)
            up[HUBBUB_SOCKETIO] = SocketIoDoor(product)
        if "full" in wanted:
            full = Hubbub(BUILD / "full", issuer.jwks_file, search=False, name=FULL_HUBBUB, volume=Shape())
            up[FULL_HUBBUB] = await running.enter_async_context(full)
        yield Environment(scale, programs, issuer, folder, up)


async def _run_scenarios(
    environment: Environment, scenarios: Mapping[str, Scenario], outcomes: list[Outcome], failures: dict[str, str]
) -> None:
    for name, scenario in scenarios.items():
        began = time.monotonic()
        try:
            outcome = await scenario(environment)
        except (BusyError, FeedError, LoadError, StackError) as error:
            failures[name] = str(error)
            print(f"{name}: {error}", flush=True)
            continue
        if note := environment.take_disturbance_note():
            outcome.notes.append(note)
        outcomes.append(outcome)
        print(f"{name} ({time.monotonic() - began:.0f} s)", flush=True)
        for table in outcome.tables:
            found = ", ".join(f"{figure.system} {number(figure.median)}" for figure in table.figures)
            print(f"    {table.what} [{table.unit}]: {found}", flush=True)


def _print_verdicts(outcomes: Sequence[Outcome], page: Path) -> None:
    print()
    for outcome in outcomes:
        for target in outcome.targets:
            verdict = "met   " if target.met else "MISSED"
            print(f"{verdict}  {target.text}: {number(target.value)} ({number(target.limit)})")
    print(f"\nReport: {page}")


if __name__ == "__main__":
    sys.exit(main())

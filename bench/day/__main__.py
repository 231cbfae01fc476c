"""The busy hour of a working day: the cost of each activity of people, and of all together.

    python -m bench.day [PEOPLE] [SECONDS]

10,000 people are connected, in rooms of 10, 30 and 100. Each activity runs alone at the rate of its `HABITS`, then all of them
run at once. The cost of connected people who do nothing is measured first and subtracted. Writes results/day.json, from which
docs/capacity.md is computed. The time of this process, which plays the clients, is not counted.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import httpx

from bench import machine, processes
from bench.day.crowd import LAYERS, Crowd
from bench.day.store import fill
from bench.people import Issuer, People
from bench.systems.hubbub import Hubbub

RESULTS = Path(__file__).parent.parent / "results" / "day.json"
Activities = Mapping[str, Callable[[], Awaitable[None]]]
ROLES = ("server", "api", "worker", "search", "presence", "postgres", "valkey")
HABITS = {
    "message": 60.0,
    "typing": 120.0,
    "read": 180.0,
    "visit": 4.0,
    "page": 20.0,
    "channels": 4.0,
    "people": 6.0,
    "search": 2.0,
}
"""How often each connected person does this in the busy hour. A visit is a connect, its `sync` and `watch`, and its end."""
PEAK = 2.0
"""The busiest seconds of that hour, relative to its average: the rate at which all this is measured."""
_HOUR = 3600.0
_LOWEST_RATE = 20.0
"""Of an activity alone, per second: a rarer one could not be told from the machine's noise."""
_SETTLE_SECONDS = 2.0


async def drive(crowd: Crowd, activities: Activities, seconds: float, lowest_rate: float) -> None:
    """Do each activity at its rate, one after another by a random clock, for some seconds."""

    async def one(name: str, act: Callable[[], Awaitable[None]]) -> None:
        rate = max(PEAK * HABITS[name] * crowd.people.users / _HOUR, lowest_rate)
        due, until = time.monotonic(), time.monotonic() + seconds
        async with asyncio.TaskGroup() as running:
            while (due := due + crowd.dice.expovariate(rate)) < until:
                await asyncio.sleep(max(0.0, due - time.monotonic()))
                running.create_task(counted(name, act))

    async def counted(name: str, act: Callable[[], Awaitable[None]]) -> None:
        try:
            await act()
        except (httpx.HTTPError, OSError, TimeoutError, KeyError) as error:
            crowd.failed[f"{name}: {type(error).__name__}"] += 1
        else:
            crowd.done[name] += 1

    async with asyncio.TaskGroup() as tasks:
        for name, act in activities.items():
            tasks.create_task(one(name, act))


@dataclass(frozen=True, slots=True)
class Spent:
    """What a phase cost."""

    seconds: float
    cpu: dict[str, float]
    """Seconds of processor time by role."""
    done: Counter[str]
    frames: Counter[str]


async def phase(crowd: Crowd, activities: Activities, seconds: float, *, reading: bool = False) -> Spent:
    """Measure some seconds of these activities."""
    crowd.reading = reading
    crowd.done.clear()
    crowd.frames.clear()
    roles, began = crowd.system.watch(), time.monotonic()
    before = {role: processes.seconds(roles[role]) for role in ROLES}
    lowest_rate = _LOWEST_RATE if len(activities) == 1 else 0.0
    await (drive(crowd, activities, seconds, lowest_rate) if activities else asyncio.sleep(seconds))
    await asyncio.sleep(_SETTLE_SECONDS)
    cpu = {role: processes.seconds(roles[role]) - before[role] for role in ROLES}
    return Spent(time.monotonic() - began, cpu, Counter(crowd.done), Counter(crowd.frames))


def table(costs: Mapping[str, Mapping[str, float]]) -> Iterable[str]:
    """Lines of the costs, in microseconds."""
    yield f"{'':>10} " + " ".join(f"{role:>9}" for role in ROLES) + f" {'all':>9}"
    for name, spent in costs.items():
        yield f"{name:>10} " + " ".join(f"{spent[role]:>9.1f}" for role in ROLES) + f" {sum(spent.values()):>9.1f}"


async def measure(data: Path, users: int, seconds: float) -> None:
    """Measure all phases, print and write the costs."""
    issuer, people = Issuer(data), People("day", users, LAYERS)
    async with Hubbub(data / "hubbub", issuer.jwks_file) as system:
        await system.until_serving()
        rooms = await fill(system.database_url, people)
        async with httpx.AsyncClient(base_url=f"http://{system.targets[0]}", timeout=30) as http:
            crowd = Crowd(system, issuer, people, rooms, http)
            await crowd.everyone()
            await phase(crowd, {"message": crowd.message}, seconds / 2, reading=True)  # warms up
            idle = await phase(crowd, {}, seconds)
            rest = {role: idle.cpu[role] / idle.seconds for role in ROLES}

            def above_rest(spent: Spent) -> dict[str, float]:
                return {role: spent.cpu[role] - rest[role] * spent.seconds for role in ROLES}

            memory = processes.memory_kib(system.watch()["server"][0])
            activities = {
                "message": crowd.message,
                "typing": crowd.typing,
                "visit": crowd.visit,
                "page": crowd.page,
                "channels": crowd.channels,
                "people": crowd.find_people,
                "search": crowd.search,
            }
            costs = {"idle": {role: 1e6 * rest[role] / users for role in ROLES}}
            deliveries = 0.0
            for name, act in activities.items():
                spent = await phase(crowd, {name: act}, seconds)
                costs[name] = {role: 1e6 * each / spent.done[name] for role, each in above_rest(spent).items()}
                if name == "message":
                    deliveries = spent.frames["event"] / spent.done[name]
            spent = await phase(crowd, {"message": crowd.message}, seconds, reading=True)
            reads = above_rest(spent)
            costs["read"] = {
                role: (1e6 * reads[role] - costs["message"][role] * spent.done["message"]) / spent.done["read"] for role in ROLES
            }
            everything = await phase(crowd, activities, 2 * seconds, reading=True)
            together = {role: 1e6 * each / users / everything.seconds for role, each in everything.cpu.items()}
    by_parts = {role: costs["idle"][role] + sum(PEAK * HABITS[n] / _HOUR * costs[n][role] for n in HABITS) for role in ROLES}
    print("µs of a processor for each; idle: for each person and second")
    print(f"a message reaches {deliveries:.1f} sockets; failures: {dict(crowd.failed)}")
    print(*table(costs), sep="\n")
    print("for a connected person and second: by the sum of its parts, and measured all at once")
    print(*table({"sum": by_parts, "at once": together}), sep="\n")
    written = {
        "machine": await machine.describe(Path(__file__).parent.parent.parent),
        "people": users,
        "habits": HABITS,
        "peak": PEAK,
        "deliveries": round(deliveries, 1),
        "memory_kib": round(memory / users, 1),
        "costs": {name: {role: round(each, 2) for role, each in spent.items()} for name, spent in costs.items()},
        "together": {role: round(each, 3) for role, each in together.items()},
        "failed": dict(crowd.failed),
    }
    RESULTS.write_text(json.dumps(written, indent=1) + "\n")


def main() -> None:
    """Measure in a temporary folder."""
    users, seconds = [*sys.argv[1:], *["10000", "30"][len(sys.argv) - 1 :]][:2]
    with tempfile.TemporaryDirectory(prefix="hubbub-day-") as folder:
        data = Path(folder)
        data.chmod(0o711)  # PostgreSQL runs as another user
        asyncio.run(measure(data, int(users), float(seconds)))


if __name__ == "__main__":
    main()

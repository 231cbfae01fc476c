"""The environment of a run: running systems, their users, and connected load generators."""

import contextlib
import math
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from bench.build import Programs
from bench.contention import Contention
from bench.generator import Answer, Generator, LoadError
from bench.people import Issuer, People
from bench.systems.system import OTHER_CORES, SERVER_CORE, System, place

HUBBUB = "Hubbub"
HUBBUB_SOCKETIO = "Hubbub over Socket.IO"
FULL_HUBBUB = "Hubbub, 5 million messages stored"
REFERENCE = "Socket.IO stack"
BARE_REFERENCE = "Socket.IO, nothing stored"
FLOOR = "C floor"
JOINED_FLOOR = "C floor, 16 joined"

_CONNECT_SECONDS = 300


@dataclass(frozen=True, slots=True)
class Scale:
    """Size and duration of a run."""

    name: str
    """full or quick."""
    rounds: int
    """Measured rounds per system."""
    seconds: float
    """Duration of a round."""
    warm_seconds: float
    """Duration of the warm-up before the first round."""
    noise_allowed: bool = False
    """Accept disturbed rounds, to check that the bench works."""
    deadline: float = math.inf
    """On the monotonic clock. After it, disturbed rounds are reported instead of repeated."""

    @property
    def accepts_noise(self) -> bool:
        """Whether disturbed rounds are accepted."""
        return self.noise_allowed or time.monotonic() > self.deadline


FULL = Scale("full", rounds=5, seconds=4.0, warm_seconds=1.5)
QUICK = Scale("quick", rounds=3, seconds=0.6, warm_seconds=0.2)


@dataclass(frozen=True, slots=True)
class Subject:
    """A system under test with connected clients."""

    name: str
    system: System
    generator: Generator

    async def ask(self, command: str, **options: float) -> Answer:
        """Run a command of the load generator. Return its counters and the system's processor time."""
        return await self.generator.ask(command, self.system.watch(), **options)


@dataclass(slots=True)
class Environment:
    """The systems, users and settings that scenarios use."""

    scale: Scale
    programs: Programs
    issuer: Issuer
    folder: Path
    """Folder of plans and logs."""
    systems: Mapping[str, System]
    """Running systems, by name."""
    worst: Contention = field(default_factory=lambda: Contention(0.0, 0.0))
    """The worst contention since the scenario began."""
    disturbances: int = 0
    """Disturbed rounds since the scenario began."""
    _tokens: dict[str, list[str]] = field(default_factory=dict)
    """By name of the people."""
    _ids: dict[tuple[str, str], list[list[str]]] = field(default_factory=dict)
    """Room ids by name of the system and of the people."""

    def record_disturbance(self, contention: Contention) -> None:
        """Record a disturbed round."""
        self.disturbances += 1
        self.worst = max(self.worst, contention, key=lambda each: each.foreign_cores + each.stolen_cores)

    def take_disturbance_note(self) -> str:
        """Return a note on disturbed rounds since the last call, or empty text."""
        times, worst = self.disturbances, self.worst
        self.disturbances, self.worst = 0, Contention(0.0, 0.0)
        if not times:
            return ""
        used = f"others used up to {worst.foreign_cores:.2f} cores, {worst.stolen_cores:.2f} were stolen"
        if self.scale.accepts_noise:
            return f"**The figures are unreliable: they include some of {times} rounds in which the machine was busy ({used}).**"
        return f"{times} rounds were repeated because the machine was busy ({used})."

    async def plan(self, system: System, people: People, send_in: Iterable[int]) -> Path:
        """Create the people's rooms if necessary. Write the load generator's plan, for sending in the layers `send_in`."""
        path = self.folder / f"{people.name} {system.name}.plan".replace(" ", "-")
        return people.write_plan(path, self.tokens(people), await self.room_ids(system, people), send_in)

    def tokens(self, people: People) -> list[str]:
        """Return the people's tokens, signed when they are first asked for."""
        if people.name not in self._tokens:
            self._tokens[people.name] = [self.issuer.token(people.user(number)) for number in range(people.users)]
        return self._tokens[people.name]

    async def room_ids(self, system: System, people: People) -> list[list[str]]:
        """Create the people's rooms if necessary. Return their ids by layer."""
        key = (system.name, people.name)
        if key not in self._ids:
            self._ids[key] = await system.provision(people)
        return self._ids[key]

    @contextlib.asynccontextmanager
    async def connected(
        self, people: People, send_in: Iterable[int], names: Sequence[str], *, pinned: bool = True, targets: int = 1
    ) -> AsyncIterator[list[Subject]]:
        """Connect the people to the first `targets` servers of each running system of `names`.

        Raises LoadError if not all of them can connect.
        """
        async with contextlib.AsyncExitStack() as open_generators:
            subjects = []
            for name in names:
                if name in self.systems:
                    system = self.systems[name]
                    place(system, pinned=pinned)
                    plan = await self.plan(system, people, send_in)
                    generator = self.generator_for(system, plan, people.users, targets=targets, pinned=pinned)
                    await open_generators.enter_async_context(generator)
                    await connect(generator)
                    subjects.append(Subject(name, system, generator))
            yield subjects

    def generator_for(
        self, system: System, plan: Path, count: int, *options: str, targets: int = 1, pinned: bool = True
    ) -> Generator:
        """Return a load generator for `count` clients of a plan, not started. `pinned` keeps it off the server's core."""
        cores = {min(OTHER_CORES)} if pinned else SERVER_CORE | OTHER_CORES
        return Generator(self.programs.load, system.protocol, system.targets[:targets], plan, count, *options, cores=cores)


async def connect(generator: Generator, **options: float) -> Answer:
    """Connect every client, and return the counters. Raises LoadError if not all of them connect."""
    answer = await generator.ask("connect", None, timeout_seconds=_CONNECT_SECONDS + 5, timeout=_CONNECT_SECONDS, **options)
    if not answer.complete:
        raise LoadError(f"Only {answer.ready} clients could connect ({answer.problems or 'no answer'}).")
    return answer

"""The setup of a run: running systems, the users created in them, load generators connected to them.

`scenarios` use it, `measure` repeats rounds.
"""

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
REFERENCE = "Socket.IO stack"
BARE_REFERENCE = "Socket.IO, nothing stored"
FLOOR = "C floor"
JOINED_FLOOR = "C floor, 16 joined"

_CONNECT_SECONDS = 300


@dataclass(frozen=True, slots=True)
class Scale:
    """How large and how long."""

    name: str
    """full or quick."""
    rounds: int
    """Measured, of each system."""
    seconds: float
    """Of a round."""
    warm_seconds: float
    """Before the first round."""
    noise_allowed: bool = False
    """The run only checks that everything works; its figures do not matter."""
    deadline: float = math.inf
    """Monotonic time after which disturbed rounds are reported as such and not measured again."""

    @property
    def takes_all(self) -> bool:
        """Whether a disturbed round counts."""
        return self.noise_allowed or time.monotonic() > self.deadline


FULL = Scale("full", rounds=5, seconds=4.0, warm_seconds=1.5)
QUICK = Scale("quick", rounds=3, seconds=0.6, warm_seconds=0.2)


@dataclass(frozen=True, slots=True)
class Subject:
    """A system with connected clients, ready to be measured."""

    name: str
    system: System
    generator: Generator

    async def ask(self, command: str, **options: float) -> Answer:
        """Let its clients carry out a command, and return the counts with the processor time of the system."""
        return await self.generator.ask(command, self.system.watch(), **options)


@dataclass(slots=True)
class Stage:
    """The setup that scenarios use."""

    scale: Scale
    programs: Programs
    issuer: Issuer
    folder: Path
    """For plans and logs."""
    systems: Mapping[str, System]
    """That are up, by name."""
    worst: Contention = field(default_factory=lambda: Contention(0.0, 0.0))
    """The worst disturbance since the last scenario began."""
    disturbances: int = 0
    """How many disturbed rounds were repeated, or reported as such, since then."""
    _tokens: dict[str, list[str]] = field(default_factory=dict)
    """By people's name."""
    _ids: dict[tuple[str, str], list[list[str]]] = field(default_factory=dict)
    """Rooms by system's and people's name."""

    def disturbed(self, contention: Contention) -> None:
        """Record that other processes used the machine."""
        self.disturbances += 1
        self.worst = max(self.worst, contention, key=lambda each: each.foreign_cores + each.stolen_cores)

    def disturbance(self) -> str:
        """Return remarks on disturbances since the last call; none if there were none."""
        times, worst = self.disturbances, self.worst
        self.disturbances, self.worst = 0, Contention(0.0, 0.0)
        if not times:
            return ""
        used = f"others used up to {worst.foreign_cores:.2f} cores, {worst.stolen_cores:.2f} were stolen"
        if self.scale.takes_all:
            return f"**The machine was busy in {times} rounds ({used}), and some of them are in the figures: these mean little.**"
        return f"{times} rounds were measured again because the machine was busy ({used})."

    async def plan(self, system: System, people: People, speak_in: Iterable[int]) -> Path:
        """Create the users unless they exist, and return the generator's plan for those who speak in the layers named."""
        if people.name not in self._tokens:
            self._tokens[people.name] = [self.issuer.token(people.user(number)) for number in range(people.users)]
        path = self.folder / f"{people.name} {system.name}.plan".replace(" ", "-")
        return people.write_plan(path, self._tokens[people.name], await self.seated(system, people), speak_in)

    async def seated(self, system: System, people: People) -> list[list[str]]:
        """Create the users unless they exist, and return their rooms' ids by layer."""
        place_of = (system.name, people.name)
        if place_of not in self._ids:
            self._ids[place_of] = await system.seat(people)
        return self._ids[place_of]

    @contextlib.asynccontextmanager
    async def connected(
        self, people: People, speak_in: Iterable[int], names: Sequence[str], *, pinned: bool = True, targets: int = 1
    ) -> AsyncIterator[list[Subject]]:
        """Connect the users to each running system named, at the first `targets` of its servers.

        Raises LoadError when not all of them can be connected.
        """
        async with contextlib.AsyncExitStack() as open_generators:
            subjects = []
            for name in names:
                if name in self.systems:
                    system = self.systems[name]
                    place(system, pinned=pinned)
                    plan = await self.plan(system, people, speak_in)
                    generator = self.generator_for(system, plan, people.users, targets=targets, pinned=pinned)
                    await open_generators.enter_async_context(generator)
                    await connect(generator)
                    subjects.append(Subject(name, system, generator))
            yield subjects

    def generator_for(
        self, system: System, plan: Path, count: int, *options: str, targets: int = 1, pinned: bool = True
    ) -> Generator:
        """Return a load generator for `count` clients of a plan, not started yet; `pinned` keeps it off the server's core."""
        cores = {min(OTHER_CORES)} if pinned else SERVER_CORE | OTHER_CORES
        return Generator(self.programs.load, system.speech, system.targets[:targets], plan, count, *options, cores=cores)


async def connect(generator: Generator, **options: float) -> Answer:
    """Connect every client, and return the measured cost. Raises LoadError if some could not connect."""
    answer = await generator.ask("connect", None, timeout_seconds=_CONNECT_SECONDS + 5, timeout=_CONNECT_SECONDS, **options)
    if not answer.whole:
        raise LoadError(f"Only {answer.ready} clients could connect ({answer.trouble or 'no answer'}).")
    return answer

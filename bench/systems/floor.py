"""The floor as a system: the C program floor/floor.c, which sends every frame to every socket."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench.people import People
from stack import ports
from stack.process import Command, running

_ROOM = "00000000-0000-7000-8000-000000000000"
"""As long as a Hubbub channel id. The floor has no rooms."""


@dataclass(slots=True)
class Floor:
    """One running floor server."""

    name: str
    port: int
    pid: int
    protocol: str = "plain"

    @property
    def targets(self) -> Sequence[str]:
        """Its address."""
        return [f"{ports.LOOPBACK}:{self.port}"]

    def watch(self) -> dict[str, list[int]]:
        """Return its process."""
        return {"server": [self.pid]}

    async def provision(self, people: People) -> list[list[str]]:
        """Return placeholder ids: the floor has no rooms."""
        return [[_ROOM for _ in layer] for layer in people.rooms]

    async def restart_server(self) -> None:
        """Do nothing: the floor has no state."""


@contextlib.asynccontextmanager
async def floor(name: str, program: Path, logs: Path, *, join: int = 1) -> AsyncIterator[Floor]:
    """Run the floor inside the block, writing `join` messages at a time."""
    port = ports.free()[0]
    ready = partial(_listens, port)
    command = Command("floor", (str(program), str(port), str(join)), ready)
    async with running(command, logs / f"floor-{join}.log") as pid:
        yield Floor(name, port, pid)


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection(ports.LOOPBACK, port)
    except OSError:
        return False
    writer.close()
    return True

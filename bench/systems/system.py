"""The interface of a system under test, and the cores it runs on. Each system has its own module."""

import os
from collections.abc import Sequence
from typing import Protocol

from bench import processes
from bench.people import People

SERVER_CORE = {0}
"""The core of the measured process: the gateway, Node, the floor."""
OTHER_CORES = set(range(1, os.cpu_count() or 1)) or {0}
"""The cores of everything else: stores, workers, the load generator, the bench itself."""


class System(Protocol):
    """Something that clients connect to."""

    name: str
    """In the report."""
    speech: str
    """What its clients speak (see load/speech_*.c)."""

    @property
    def targets(self) -> Sequence[str]:
        """Where its servers listen, host:port."""

    def watch(self) -> dict[str, list[int]]:
        """Return its processes by role; `server` is what is measured, the others are printed beside it."""

    async def seat(self, people: People) -> list[list[str]]:
        """Create users and rooms; return the rooms' ids by layer, in the order of `people.rooms`."""

    async def restart_server(self) -> None:
        """Replace the measured process by a new one, and return when it is ready."""


def place(system: System, *, pinned: bool) -> None:
    """Give the measured process its own core; unpinned, all processes share all cores."""
    everywhere = SERVER_CORE | OTHER_CORES
    for role, pids in system.watch().items():
        cores = (SERVER_CORE if role == "server" else OTHER_CORES) if pinned else everywhere
        processes.pin(pids, cores)

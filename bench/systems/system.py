"""The interface of a system under test, and the cores it runs on."""

import os
from collections.abc import Sequence
from typing import Protocol

from bench import processes
from bench.people import People

SERVER_CORE = {0}
"""For the measured process: the gateway, Node or the floor."""
OTHER_CORES = set(range(1, os.cpu_count() or 1)) or {0}
"""For everything else: stores, workers, the load generator, the bench itself."""


class System(Protocol):
    """A system under test."""

    name: str
    """Name in the report."""
    protocol: str
    """The protocol of its clients (see load/protocol_*.c)."""

    @property
    def targets(self) -> Sequence[str]:
        """The addresses of its servers, host:port."""

    def watch(self) -> dict[str, list[int]]:
        """Return its processes by role. `server` is measured; the others are reported as well."""

    async def provision(self, people: People) -> list[list[str]]:
        """Create users and rooms. Return the room ids by layer, in the order of `people.rooms`."""

    async def restart_server(self) -> None:
        """Restart the measured process, and return when it is ready."""


def place(system: System, *, pinned: bool) -> None:
    """Pin the measured process to its own core, or let every process use all cores."""
    everywhere = SERVER_CORE | OTHER_CORES
    for role, pids in system.watch().items():
        cores = (SERVER_CORE if role == "server" else OTHER_CORES) if pinned else everywhere
        processes.pin(pids, cores)

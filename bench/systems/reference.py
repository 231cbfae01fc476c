"""The reference stack as a system: Node with Socket.IO on PostgreSQL and Valkey (reference/*.mjs)."""

import contextlib
import os
import shutil
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import psycopg

from bench import processes
from bench.people import People
from stack import ports, probes
from stack.postgres import Postgres
from stack.process import Command, running
from stack.valkey import Valkey

_SEED_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Stores:
    """The reference stack's servers: the same programs and settings as Hubbub's."""

    database_url: str
    redis_url: str
    postgres_pid: int
    valkey_pid: int


@dataclass(slots=True)
class Reference:
    """One running Node server."""

    name: str
    command: Command
    stores: Stores
    log: Path
    port: int
    protocol: str = "socketio"
    pid: int = 0
    _running: contextlib.AsyncExitStack = field(default_factory=contextlib.AsyncExitStack)
    """Stops the running server."""

    @property
    def targets(self) -> Sequence[str]:
        """Its address."""
        return [f"{ports.LOOPBACK}:{self.port}"]

    def watch(self) -> dict[str, list[int]]:
        """Return its processes by role."""
        return {
            "server": [self.pid],
            "postgres": processes.tree(self.stores.postgres_pid),
            "valkey": [self.stores.valkey_pid],
        }

    async def provision(self, people: People) -> list[list[str]]:
        """Insert the members into its table. Room ids are as long as Hubbub's channel ids."""
        ids = [
            [f"{people.name[:8]:0>8}-{layer:04}-7000-8000-{room:012}" for room in range(len(rooms))]
            for layer, rooms in enumerate(people.rooms)
        ]
        async with await psycopg.AsyncConnection.connect(self.stores.database_url, connect_timeout=_SEED_SECONDS) as connection:
            await connection.execute("DELETE FROM members WHERE user_id LIKE %s", [f"{people.name}-%"])
            async with connection.cursor().copy("COPY members (user_id, channel) FROM STDIN") as copy:
                for layer, rooms in zip(ids, people.rooms, strict=True):
                    for room, members in zip(layer, rooms, strict=True):
                        for member in members:
                            await copy.write_row((people.user(member), room))
        return ids

    async def restart_server(self) -> None:
        """Restart Node."""
        await self._running.aclose()
        await self.start()

    async def start(self) -> None:
        """Start Node."""
        self.pid = await self._running.enter_async_context(running(self.command, self.log))

    async def stop(self) -> None:
        """Stop Node."""
        await self._running.aclose()


@contextlib.asynccontextmanager
async def stores(data: Path) -> AsyncIterator[Stores]:
    """Run PostgreSQL and Valkey inside the block, with new data under `data`."""
    shutil.rmtree(data, ignore_errors=True)
    data.mkdir(mode=0o711, parents=True)  # noqa: ASYNC240 (nothing else runs yet)
    postgres = Postgres.place(data / "postgres", data / "secrets", ports.free()[0])
    valkey = Valkey(data / "valkey", data / "secrets", ports.free()[0])
    await postgres.prepare()
    await valkey.prepare()
    async with (
        running(postgres.command(), data / "postgres.log") as postgres_pid,
        running(valkey.command(), data / "valkey.log") as valkey_pid,
    ):
        database = await postgres.ensure_database("reference")
        yield Stores(database, valkey.url(0), postgres_pid, valkey_pid)


@contextlib.asynccontextmanager
async def reference(
    name: str, folder: Path, jwks_file: Path, stores: Stores, logs: Path, *, store: bool
) -> AsyncIterator[Reference]:
    """Run the reference server inside the block. Without `store` it stores no messages."""
    port = ports.free()[0]
    env = {
        **os.environ,
        "NODE_ENV": "production",
        "REFERENCE_LISTEN": f"{ports.LOOPBACK}:{port}",
        "REFERENCE_DATABASE_URL": stores.database_url,
        "REFERENCE_REDIS_URL": stores.redis_url,
        "REFERENCE_REDIS_KEY": name.replace(" ", "-"),
        "REFERENCE_JWKS_FILE": str(jwks_file),
        "REFERENCE_STORE": "postgres" if store else "none",
    }
    node = shutil.which("node") or "node"
    ready = partial(probes.http_ok, ports.LOOPBACK, port, "/healthz")
    command = Command("reference", (node, str(folder / "server.mjs")), ready, env)
    server = Reference(name, command, stores, logs / f"reference-{'store' if store else 'bare'}.log", port)
    await server.start()
    try:
        yield server
    finally:
        await server.stop()

"""Hubbub as a system: the whole product, started as by `make run`, with production settings."""

import asyncio
import json
import os
import shutil
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from bench import processes
from bench.people import AUDIENCE, ISSUER, TENANT, People
from bench.systems.provisioning import provision
from bench.volume.load import fill
from bench.volume.shape import Shape
from chassis.identity import GATEWAY
from hubbub.messages.v1.feed_service_pb2_grpc import FeedServiceStub
from stack import Stack

_STARTED_SECONDS = 30


class Hubbub:
    """A running product, inside the context."""

    protocol = "hubbub"

    def __init__(
        self,
        data: Path,
        jwks_file: Path,
        *,
        gateways: int = 1,
        search: bool = True,
        name: str = "Hubbub",
        volume: Shape | None = None,
    ) -> None:
        self.name = name
        self._volume = volume
        """What is in its store from the beginning, besides the users of the bench."""
        issuer = {"issuer": ISSUER, "audience": AUDIENCE, "tenants": [TENANT], "jwks_file": str(jwks_file)}
        self._data = data
        """Deleted at the start."""
        self._stack = Stack(
            data,
            gateways=gateways,
            env={
                "SEARCH": str(int(search)),
                "HUBBUB_ENV": "production",
                "HUBBUB_DEV_LOGIN": "0",
                "HUBBUB_ISSUERS": json.dumps([issuer]),
                "HUBBUB_TRUSTED_PROXIES": "none",
                "HUBBUB_TENANT_SENDS_PER_SECOND": "1000000",
                "HUBBUB_TENANT_REQUESTS_PER_SECOND": "1000000",
            },
        )

    async def __aenter__(self) -> Self:
        """Start everything without data."""
        shutil.rmtree(self._data, ignore_errors=True)
        await self._stack.start()
        if self._volume:
            owner = str(self._stack.endpoints["HUBBUB_MESSAGES_MIGRATION_DATABASE_URL"])
            await asyncio.to_thread(fill, owner, self._volume)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Stop everything."""
        await self._stack.stop()

    @property
    def targets(self) -> Sequence[str]:
        """The addresses of the gateways."""
        return [gateway.url.removeprefix("http://") for gateway in self._stack.gateways]

    @property
    def bus_url(self) -> str:
        """The URL of the bus."""
        return str(self._stack.endpoints["HUBBUB_BUS_URL"])

    @property
    def database_url(self) -> str:
        """The URL of the messages service's database, as the service's role."""
        return str(self._stack.endpoints["HUBBUB_MESSAGES_DATABASE_URL"])

    def watch(self) -> dict[str, list[int]]:
        """Return its processes by role. The gateways have the role `server`."""
        roles: dict[str, list[int]] = {}
        for name, pid in self._stack.pids.items():
            role = "server" if name.startswith("gateway") else "worker" if "worker" in name else name.removeprefix("messages-")
            roles.setdefault(role, []).extend(processes.tree(pid))
        return roles

    async def provision(self, people: People) -> list[list[str]]:
        """Create users and rooms through the messages service."""
        async with self._stack.channel("messages", GATEWAY) as channel:
            return await provision(channel, people)

    @asynccontextmanager
    async def feed(self) -> AsyncIterator[FeedServiceStub]:
        """The feed, as the stack's product calls it, inside the block."""
        async with self._stack.channel("feed") as channel:
            yield FeedServiceStub(channel)

    async def restart_server(self) -> None:
        """Replace every gateway with a new process."""
        for gateway in self._stack.gateways:
            killed = self._stack.kill(gateway.name)
            await self._stack.started(gateway.name, after=killed, timeout_seconds=_STARTED_SECONDS)
            await self._stack.serving(gateway.name)

    async def kill_gateway(self, number: int) -> None:
        """Kill a gateway, and return when the supervisor has restarted it."""
        name = self._stack.gateways[number].name
        await self._stack.started(name, after=self._stack.kill(name), timeout_seconds=_STARTED_SECONDS)

    def pause_search(self) -> None:
        """Stop the search process until `resume_search`."""
        os.kill(self._stack.pids["messages-search"], signal.SIGSTOP)

    def resume_search(self) -> None:
        """Let the search process go on."""
        os.kill(self._stack.pids["messages-search"], signal.SIGCONT)

    async def until_serving(self) -> None:
        """Return when every gateway is ready."""
        for gateway in self._stack.gateways:
            await self._stack.serving(gateway.name)


class SocketIoDoor:
    """A running product as Socket.IO clients reach it: the same processes, users and rooms."""

    protocol = "socketio"

    def __init__(self, product: Hubbub) -> None:
        self._product = product
        self.name = product.name
        """The product's, under which the environment knows its rooms."""

    @property
    def targets(self) -> Sequence[str]:
        """The addresses of the gateways."""
        return self._product.targets

    def watch(self) -> dict[str, list[int]]:
        """Return the product's processes by role."""
        return self._product.watch()

    async def provision(self, people: People) -> list[list[str]]:
        """Create users and rooms through the messages service."""
        return await self._product.provision(people)

    async def restart_server(self) -> None:
        """Replace every gateway with a new process."""
        await self._product.restart_server()

"""Two gateways behind a proxy without stickiness."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from chassis.config import Address, Secret
from chassis.identity import make_key
from gateway.socketio.session import Session
from services.gateway.tests.house import House, open_house

PEER = Address("127.0.0.1", 0)


class Pair(NamedTuple):
    """Two gateways with one store, and a proxy that takes each connection to the next of them."""

    one: House
    two: House
    folder: Path
    port: int
    """Of the proxy."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def sessions(self) -> dict[str, Session]:
        """Of both."""
        engines = [house.gateway.socketio for house in (self.one, self.two)]
        return {sid: session for engine in engines if engine is not None for sid, session in engine.sessions.items()}


@asynccontextmanager
async def open_pair(bus_url: str, folder: Path) -> AsyncIterator[Pair]:
    make_key(folder / "gateway.pem")
    settings: dict[str, Any] = {"peer_listen": PEER, "gateway_key": Secret((folder / "gateway.pem").read_text())}
    async with (
        open_house(bus_url, folder, socketio=True, **settings) as one,
        open_house(bus_url, folder, socketio=True, store=one.store, **settings) as two,
        RoundRobin(one.port, two.port).listening() as proxy,
    ):
        yield Pair(one, two, folder, proxy.port)


@asynccontextmanager
async def third(pair: Pair) -> AsyncIterator[House]:
    """Another gateway, which leaves before the test ends."""
    config = pair.one.config
    settings: dict[str, Any] = {"peer_listen": PEER, "gateway_key": config.gateway_key}
    async with open_house(config.bus_url, pair.folder, socketio=True, store=pair.one.store, **settings) as house:
        yield house


class RoundRobin:
    """A TCP proxy without stickiness: each connection goes to the next port."""

    def __init__(self, *ports: int) -> None:
        self.port = 0
        """Its own port, once it listens."""
        self._turns = itertools.cycle(ports)
        self._open: set[asyncio.StreamWriter] = set()

    def drop(self) -> None:
        """Break every connection."""
        for writer in self._open:
            writer.transport.abort()

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[RoundRobin]:
        """Listen inside the block."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        try:
            yield self
        finally:
            server.close()
            self.drop()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            other_reader, other_writer = await asyncio.open_connection("127.0.0.1", next(self._turns))
            async with asyncio.TaskGroup() as group:
                group.create_task(copy(reader, other_writer))
                group.create_task(copy(other_reader, writer))
        except OSError:  # the gateway is gone
            pass
        finally:
            self._open.discard(writer)
            writer.close()


async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()

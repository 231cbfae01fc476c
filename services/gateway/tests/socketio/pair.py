"""Two gateways behind a proxy without stickiness."""

from __future__ import annotations

import asyncio
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
        round_robin(one.port, two.port) as port,
    ):
        yield Pair(one, two, folder, port)


@asynccontextmanager
async def third(pair: Pair) -> AsyncIterator[House]:
    """Another gateway, which leaves before the test ends."""
    config = pair.one.config
    settings: dict[str, Any] = {"peer_listen": PEER, "gateway_key": config.gateway_key}
    async with open_house(config.bus_url, pair.folder, socketio=True, store=pair.one.store, **settings) as house:
        yield house


@asynccontextmanager
async def round_robin(*ports: int) -> AsyncIterator[int]:
    """A TCP proxy without stickiness; its port."""
    turn = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal turn
        turn += 1
        with suppress(OSError):
            other_reader, other_writer = await asyncio.open_connection("127.0.0.1", ports[turn % len(ports)])
            async with asyncio.TaskGroup() as group:
                group.create_task(copy(reader, other_writer))
                group.create_task(copy(other_reader, writer))

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()

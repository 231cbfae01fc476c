"""A server with the application that the public test suites expect."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
import pytest_asyncio
import websockets

from gateway.socketio import conformance
from gateway.socketio.engine import Engine
from gateway.socketio.session import Session
from services.gateway.tests.house import House, open_house
from services.gateway.tests.socketio.pair import Pair, open_pair
from services.gateway.tests.socketio.stock import CHANNEL
from services.gateway.tests.world import JOINED
from stack.valkey import Valkey

SECONDS = 10
"""For what should come at once."""
ENGINE, SOCKET = "/engine.io/", "/socket.io/"


class Application:
    """The running application, and a client's view of it."""

    def __init__(self, port: int, engines: dict[str, Engine], http: httpx.AsyncClient) -> None:
        self._port = port
        self.engines = engines
        self.http = http
        """Knows the server; a request may wait as long as a poll does."""

    async def get(self, path: str, **parameters: str) -> httpx.Response:
        return await self.http.get(path, params={"EIO": "4", "transport": "polling", **parameters})

    async def post(self, path: str, sid: str, content: str | bytes | AsyncIterator[bytes]) -> httpx.Response:
        return await self.http.post(path, params={"EIO": 4, "transport": "polling", "sid": sid}, content=content)

    async def open_polling(self, path: str) -> str:
        """Open a session; returns its id."""
        return str(json.loads((await self.get(path)).text[1:])["sid"])

    def websocket(self, path: str, **parameters: object) -> Any:
        query = "&".join(f"{name}={value}" for name, value in {"EIO": 4, "transport": "websocket", **parameters}.items())
        return websockets.connect(f"ws://127.0.0.1:{self._port}{path}?{query}", ping_interval=None, compression=None)

    def session(self, sid: str) -> Session:
        """The server's side of a session."""
        return next(engine.sessions[sid] for engine in self.engines.values() if sid in engine.sessions)

    def end_sessions(self) -> None:
        """End what the test has left open."""
        for engine in self.engines.values():
            for session in list(engine.sessions.values()):
                session.transport.abort()
            engine.sessions.clear()

    @asynccontextmanager
    async def polling(self, path: str, sid: str) -> AsyncIterator[asyncio.Task[httpx.Response]]:
        """A request that waits for packets."""
        polling = self.session(sid).polling
        assert polling is not None
        task = asyncio.create_task(self.get(path, sid=sid))
        await until(lambda: polling.waiting)
        yield task
        await task


async def until(condition: Callable[[], bool]) -> None:
    """Wait for a state of the server, which runs in this loop."""
    async with asyncio.timeout(SECONDS):
        while not condition():  # noqa: ASYNC110 - nothing else tells
            await asyncio.sleep(0.001)


async def received(socket: Any) -> Any:
    """The next message, pings apart."""
    async with asyncio.timeout(SECONDS):
        while (message := await socket.recv()) == "2":
            pass
    return message


async def closed(socket: Any) -> int:
    """Wait for the server to close; the close code."""
    async with asyncio.timeout(SECONDS):
        try:
            while True:
                await socket.recv()
        except websockets.ConnectionClosed as error:
            return error.rcvd.code if error.rcvd else 1006


async def refused(connecting: Any) -> int:
    """The HTTP status that answers a handshake."""
    try:
        async with connecting:
            return 101
    except websockets.InvalidStatus as error:
        return error.response.status_code


@asynccontextmanager
async def open_application(heartbeat: str) -> AsyncIterator[Application]:
    stopping = asyncio.Event()
    listening = conformance.listen(0)
    port = listening[0].getsockname()[1]
    async with asyncio.TaskGroup() as group:
        engines = conformance.make_engines(conformance.HEARTBEATS[heartbeat], group)
        group.create_task(conformance.serve(engines, listening, stopping))
        try:
            async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=60) as http:
                yield Application(port, engines, http)
        finally:
            stopping.set()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def _production() -> AsyncIterator[Application]:
    async with open_application("production") as opened:
        yield opened


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def _fast() -> AsyncIterator[Application]:
    async with open_application("fast") as opened:
        yield opened


@pytest_asyncio.fixture(loop_scope="module")
async def application(_production: Application) -> AsyncIterator[Application]:
    """With the heartbeat of production, so that no case passes because a ping timed out."""
    yield _production
    _production.end_sessions()


@pytest_asyncio.fixture(loop_scope="module")
async def fast_application(_fast: Application) -> AsyncIterator[Application]:
    """For cases about the heartbeat."""
    yield _fast
    _fast.end_sessions()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def _pair(valkey_server: Valkey, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Pair]:
    async with open_pair(valkey_server.url(0), tmp_path_factory.mktemp("pair")) as opened:
        yield opened


@pytest_asyncio.fixture(loop_scope="module")
async def pair(_pair: Pair) -> AsyncIterator[Pair]:
    """Two gateways without sessions, and a channel of ann and bob."""
    store = _pair.one.store
    store.logs.clear()
    for user in ("ann", "bob"):
        store.append(CHANNEL, JOINED, user)
    yield _pair
    for session in _pair.sessions().values():
        session.transport.abort()
    await until(lambda: not _pair.sessions())


@pytest.fixture
def bus_url(valkey_server: Valkey) -> str:
    """The bus of `house`, for a gateway with other settings: unlike `valkey_url` it is not emptied."""
    return valkey_server.url(0)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def _house(valkey_server: Valkey, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    limits = dict.fromkeys(("user_sends_per_second", "requests_per_second", "request_burst"), 1_000_000)
    async with open_house(valkey_server.url(0), tmp_path_factory.mktemp("house"), socketio=True, **limits) as opened:  # type: ignore[arg-type]
        yield opened


@pytest_asyncio.fixture(loop_scope="module")
async def house(_house: House) -> AsyncIterator[House]:
    """A gateway with the door, without sessions, and a channel of ann and bob. Limits are those of a connection."""
    store = _house.store
    store.logs.clear()
    for user in ("ann", "bob"):
        store.append(CHANNEL, JOINED, user)
    yield _house
    store.failure, store.prompt = None, True
    store.void.clear()
    for call in store.calls:
        call.arrive()
    store.calls.clear()
    engine, registry = _house.gateway.socketio, _house.gateway.registry
    assert engine is not None
    for session in list(engine.sessions.values()):
        session.transport.abort()
    await until(lambda: not engine.sessions and not registry.connections)

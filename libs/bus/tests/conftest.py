"""Fixtures: the implementations under the contract suite, and a Valkey that fault tests may kill."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Protocol

import pytest
import redis.asyncio

from bus import redis_keys
from bus.bus import Bus
from bus.memory import MemoryBus
from bus.memory_signals import MemorySignals
from bus.redis_signals import RedisSignals
from bus.redis_streams import RedisBus
from bus.signals import Signals
from bus.topics import Topic
from stack import ports
from stack.process import spawn, until_ready
from stack.valkey import Valkey

LEASE_SECONDS = 1.0


class World(Protocol):
    """What the contract suite needs of an implementation. A new implementation adds a class like these."""

    def connect(self) -> Bus:
        """Return a bus as if opened by another process."""
        ...

    async def trim(self, topic: Topic, keep: int) -> None:
        """Remove the oldest entries, as the bound does."""
        ...

    async def wipe(self) -> None:
        """Delete everything."""
        ...


class MemoryWorld:
    def __init__(self) -> None:
        self._bus = MemoryBus()

    def connect(self) -> Bus:
        return self._bus

    async def trim(self, topic: Topic, keep: int) -> None:
        self._bus.trim(topic, keep)

    async def wipe(self) -> None:
        self._bus.wipe()


class ValkeyWorld:
    def __init__(self, url: str, admin: redis.asyncio.Redis, stack: contextlib.ExitStack) -> None:
        self._url = url
        self._admin = admin
        self._stack = stack

    def connect(self) -> Bus:
        bus = RedisBus(self._url, lease_seconds=LEASE_SECONDS)
        self._stack.callback(bus.close)
        return bus

    async def trim(self, topic: Topic, keep: int) -> None:
        await self._admin.xtrim(redis_keys.stream(topic.name), maxlen=keep, approximate=False)

    async def wipe(self) -> None:
        await self._admin.flushall()


@pytest.fixture(params=["memory", "valkey"])
def address(request: pytest.FixtureRequest) -> str:
    """Return the URL of the bus under test, emptied."""
    return request.getfixturevalue("valkey_url") if request.param == "valkey" else "memory://"


@pytest.fixture
async def world(address: str) -> AsyncIterator[World]:
    if address == "memory://":
        yield MemoryWorld()
        return
    with contextlib.ExitStack() as stack:
        async with redis.asyncio.from_url(address) as admin:
            yield ValkeyWorld(address, admin, stack)


@pytest.fixture
def signals_of(address: str) -> Iterator[Callable[[], Signals]]:
    """Return a function that opens signals as if from another process."""
    if address == "memory://":
        one = MemorySignals()
        yield lambda: one
        return
    with contextlib.ExitStack() as stack:
        yield lambda: stack.enter_context(contextlib.closing(RedisSignals(address)))


class Server:
    """A Valkey for one test, which may kill and pause it."""

    def __init__(self, valkey: Valkey, log: Path) -> None:
        self._valkey = valkey
        self._log = log
        self._process: asyncio.subprocess.Process | None = None
        self.url = valkey.url(0)

    async def start(self, *options: str) -> None:
        command = self._valkey.command()
        command = dataclasses.replace(command, argv=(*command.argv, *options))
        with self._log.open("ab") as output:
            self._process = await spawn(command, output)
        await until_ready(command, self._process, 10)

    async def kill(self, *, forget: bool = False) -> None:
        """Kill it with SIGKILL; `forget` deletes its data too."""
        assert self._process is not None
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()
        if forget:
            for file in (self._valkey.folder / "appendonlydir").iterdir():
                file.unlink()

    def signal(self, number: int) -> None:
        """Send it a signal, to pause or continue it."""
        assert self._process is not None
        self._process.send_signal(number)


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Server]:
    valkey = Valkey(tmp_path / "valkey", tmp_path / "secrets", ports.free()[0])
    await valkey.prepare()
    server = Server(valkey, tmp_path / "valkey.log")
    await server.start()
    yield server
    await server.kill()


@pytest.fixture
async def admin(server: Server) -> AsyncIterator[redis.asyncio.Redis]:
    """Return an ordinary client of the test's Valkey."""
    async with redis.asyncio.from_url(server.url) as client:
        yield client


@pytest.fixture
def bus_of(server: Server) -> Callable[[], RedisBus]:
    """Return a function that opens the bus on the test's Valkey, as if from another process."""
    return lambda: RedisBus(server.url, lease_seconds=LEASE_SECONDS)

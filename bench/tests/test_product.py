"""What sockets cost the running gateway, in the kernel's own counts: memory of an idle socket, system calls of a delivery."""

import asyncio
import resource
import struct
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from socket import SOL_TCP, TCP_INFO

import httpx
import pytest
import pytest_asyncio

from bench import processes
from bench.people import Issuer, People
from bench.systems.hubbub import Hubbub
from sendmany import NATIVE
from tests.client import Api, Socket, connect

SOCKET_KIB = 20.0
"""Measured 11. A buffer of its own for each socket would cost 16 more."""
SOCKETS = 1_000
FIRST = 100
"""Sockets that open before the first reading, so that what the process allocates once is not counted."""
AT_ONCE = 50
_DATA_SEGMENTS = struct.Struct("=I")
PEOPLE = People("guards", SOCKETS, (200, *[10] * 9))

pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass
class Running:
    """A running product, and callers for its users."""

    hubbub: Hubbub
    callers: list[Api]
    rooms: list[list[str]]

    @property
    def gateway(self) -> int:
        """The gateway's pid."""
        return self.hubbub.watch()["server"][0]

    async def open(self, numbers: Iterable[int], until: AsyncExitStack) -> list[Socket]:
        """Connect these users and open their flow."""
        gate = asyncio.Semaphore(AT_ONCE)

        async def one(number: int) -> Socket:
            async with gate:
                socket = await until.enter_async_context(connect(self.callers[number]))
                await socket.open()
                return socket

        return list(await asyncio.gather(*map(one, numbers)))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def running(server_data: Path) -> AsyncIterator[Running]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    issuer = Issuer(server_data)
    async with Hubbub(server_data / "guards", issuer.jwks_file) as hubbub, httpx.AsyncClient() as http:
        rooms = await hubbub.provision(PEOPLE)
        users = [PEOPLE.user(number) for number in range(SOCKETS)]
        yield Running(hubbub, [Api(f"http://{hubbub.targets[0]}", issuer.token(user), http, user) for user in users], rooms)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


async def test_an_idle_socket_takes_little_memory(running: Running) -> None:
    async with AsyncExitStack() as until:
        await running.open(range(FIRST), until)
        before = processes.memory_kib(running.gateway)
        await running.open(range(FIRST, SOCKETS), until)
        grown = processes.memory_kib(running.gateway) - before
    assert grown / (SOCKETS - FIRST) <= SOCKET_KIB


async def test_a_message_reaches_each_socket_with_one_send(running: Running) -> None:
    room, members = running.rooms[0][0], PEOPLE.rooms[0][0]
    async with AsyncExitStack() as until:
        sockets = await running.open(members, until)
        await _post(sockets, room, "first")
        segments, calls = _segments(sockets), processes.written_calls(running.gateway)
        await _post(sockets, room, "counted")
        # Each send is a segment. The author's acknowledgement usually shares one with the author's own delivery.
        assert _segments(sockets) - segments <= len(members) + 1
        if NATIVE:  # sendmany sends without write(2); a few calls go to the bus, to other services and to the log
            assert processes.written_calls(running.gateway) - calls < len(members) / 2


def _segments(sockets: list[Socket]) -> int:
    """Number of data segments that these sockets have received (tcpi_data_segs_in of Linux)."""
    return sum(_DATA_SEGMENTS.unpack_from(each.kernel.getsockopt(SOL_TCP, TCP_INFO, 160), 152)[0] for each in sockets)


async def _post(sockets: list[Socket], room: str, key: str) -> None:
    await sockets[0].post(room, key, key)
    await asyncio.gather(*(socket.expect("event", channel=room) for socket in sockets))

"""Memory under attack, in the kernel's figures: attacks leave nothing behind, and while they last cost what they send.

*Leaks.* Several rounds of one attack. What leaks grows in every round; what an allocator takes in one round and keeps for the
next does not, so the least that a round added is judged.

*Amplification.* Attackers send as much as the gateway takes, do not read, and hold their connections. The gateway's growth is
judged by the bytes that they offered.
"""

import asyncio
import contextlib
import json
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from itertools import pairwise
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from stack import ports, probes
from stack.process import Command, running
from tests.client import Api, connect
from tests.client.wire import BINARY, PING, TEXT, spell, wire
from tests.faults.memory import resident
from tests.flow.world import World, eventually, refusal
from tests.security.signing import settings

ROUNDS = 3
"""After a first round that is not judged."""
HITS = 200
CONNECTIONS = 50
"""Per round."""
LEFT_KIBIBYTES = 180
"""What a round may leave. Measured 12 at most; a leak of one KiB for each hit leaves 200, one of a connection's state 550."""
WRONG = [
    {"type": "send", "channel": {"$gt": ""}, "key": "k", "text": "x"},
    {"type": "send", "channel": "c", "key": "k", "text": "x" * 17_000},
    {"type": "edit", "channel": "c", "message": None, "text": []},
    {"type": "sync", "positions": {"c": -1}},
    {"type": "watch", "users": "everybody"},
    {"type": "no such type", "ref": "x" * 1_000},
]
FATAL = [spell(TEXT, b"[" * 60_000), spell(TEXT, b'{"type":NaN}'), spell(BINARY, b"\x00"), spell(TEXT, b"x" * 100_000)]
Attack = Callable[[Api], Awaitable[None]]
MEBIBYTE = 1024 * 1024
OFFERED = 4 * MEBIBYTE
"""By one connection that sends without end."""
TAKEN_SECONDS = 2
"""For the gateway to take it; one that reads no more takes none of the rest."""
TURNS = 64
"""Of the gateway's loop, so that it has read all that it takes: at least 64 KiB of a connection in each."""
HELD = 200
"""Connections at once, where many send a little."""
AMPLIFIED = 2
"""Bytes of memory that a byte may cost where it is kept: it is buffered, and perhaps copied once."""
SLACK = 8 * MEBIBYTE
"""Of an allocator, and of what a gateway does for the first time."""
HOST = b"Host: localhost\r\n"
GET = b"GET /v1/me HTTP/1.1\r\n" + HOST + b"\r\n"
CHUNKED = b"POST /v1/none HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"
LENGTH = b"POST /v1/channels HTTP/1.1\r\n" + HOST + b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n"
UPGRADE = (
    b"GET /v1/connect HTTP/1.1\r\n" + HOST + b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
SENDERS = {
    "requests": (b"", GET),
    "short requests": (b"", b"GET / HTTP/1.1\r\nHost:x\r\n\r\n"),
    "HEAD requests": (b"", GET.replace(b"GET", b"HEAD")),
    "requests with bodies": (b"", LENGTH % 2 + b"{}"),
    "requests with chunked bodies": (b"", CHUNKED + b"2\r\n{}\r\n0\r\n\r\n"),
    "requests and upgrades": (b"", GET + UPGRADE),
    "requests for another protocol": (b"", GET.replace(HOST, HOST + b"Connection: Upgrade\r\nUpgrade: h2c\r\n")),
    "empty lines": (GET, b"\r\n"),
    "trailers": (CHUNKED + b"0\r\n", b"a:b\r\n"),
    "one endless trailer": (CHUNKED + b"0\r\na:", b"b"),
    "chunk extensions": (CHUNKED + b"5;a=", b"b"),
    "chunks of one byte": (CHUNKED, b"1\r\nx\r\n"),
    "one endless chunk": (CHUNKED + b"FFFFFFFF\r\n", b"x"),
    "a body that is not read": (LENGTH % 2_000_000_000, b"x"),
    "header lines": (b"GET /v1/me HTTP/1.1\r\n" + HOST, b"a:b\r\n"),
    "one endless header": (b"GET /v1/me HTTP/1.1\r\n" + HOST + b"a: ", b"b"),
    "an endless address": (b"GET /", b"x"),
    "frames of a handshake that is refused": (UPGRADE, b"\x81\x80\0\0\0\0"),
}
"""What a connection sends first, and what it sends without end."""
HOLDERS = {
    "half heads of many lines": b"GET /v1/me HTTP/1.1\r\n" + HOST + b"".join(b"a%d:b\r\n" % number for number in range(100)),
    "half heads of long lines": b"GET /v1/me HTTP/1.1\r\n" + HOST + b"".join(b"a:%s\r\n" % (b"x" * 15_000) for _ in range(4)),
    "half bodies": LENGTH % 60_000 + b"x" * 50_000,
    "half chunks": CHUNKED + b"E000\r\n" + b"x" * 50_000,
}
"""What each of many connections sends before it falls silent."""


async def wrong_frames(api: Api) -> None:
    """Wrong frames on one socket."""
    async with connect(api) as socket:
        for number in range(HITS):
            await socket.raw(json.dumps(WRONG[number % len(WRONG)]))
        await socket.round_trip()


async def pings(api: Api) -> None:
    """WebSocket pings from a client that reads no pongs."""
    async with wire(api) as connection:
        await connection.send(*(spell(PING, os.urandom(100)) for _ in range(HITS)))


async def fatal_frames(api: Api) -> None:
    """Frames that end their sockets."""
    for number in range(CONNECTIONS):
        async with wire(api) as connection:
            await connection.send(FATAL[number % len(FATAL)])
            await connection.frames()


async def vanishing_sockets(api: Api) -> None:
    """Sockets that end without a close frame."""
    for _ in range(CONNECTIONS):
        async with connect(api) as socket:
            await socket.send("watch", users=[os.urandom(8).hex() for _ in range(10)])
            await socket.drop()


async def unfinished_handshakes(api: Api) -> None:
    """Request heads that never end, on connections that are then aborted."""
    await asyncio.gather(*(sent(api, b"GET /v1/connect HTTP/1.1\r\nHost: x\r\nX-Slow: x") for _ in range(HITS)))


async def header_bombs(api: Api) -> None:
    """Request heads that are far too large."""
    bomb = b"GET /v1/me HTTP/1.1\r\nHost: x\r\n" + b"".join(b"X-%d: %s\r\n" % (number, b"x" * 8_000) for number in range(20))
    await asyncio.gather(*(sent(api, bomb, answered=b" 431 ") for _ in range(HITS)))


async def refused_handshakes(api: Api) -> None:
    """Different invalid tokens; few, because attempts per address are limited."""
    for _ in range(CONNECTIONS):
        guesser = api.at(api.url)
        guesser.token = f"a.{os.urandom(8).hex()}.c"
        await refusal(guesser)


async def wrong_requests(api: Api) -> None:
    """Unknown paths, and bodies that are not JSON."""
    deep = b"[" * 60_000
    for _ in range(CONNECTIONS):
        await api.refused("GET", f"/v1/{os.urandom(8).hex()}", reason="NOT_FOUND")
        await api.call("POST", "/v1/channels", content=deep, headers={"Content-Type": "application/json"})


async def sent(api: Api, data: bytes, answered: bytes = b"") -> None:
    """Open a connection, send bytes, wait for `answered` if given, and abort the connection."""
    address = urlsplit(api.url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    try:
        writer.write(data)
        if answered:
            assert answered in await reader.read(4096)
        else:
            await writer.drain()
    finally:
        writer.transport.abort()


ATTACKS = [
    wrong_frames,
    pings,
    fatal_frames,
    vanishing_sockets,
    unfinished_handshakes,
    header_bombs,
    refused_handshakes,
    wrong_requests,
]


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.__name__)
async def test_an_attack_leaks_no_memory(world: World, attack: Attack) -> None:
    ann = await world.person("ann")
    gateway = world.stack.pids["gateway-0"]
    levels = []
    for _ in range(1 + ROUNDS):
        await attack(ann)
        levels.append(resident(gateway))
    added = [(after - before) // 1024 for before, after in pairwise(levels)]
    assert min(added) < LEFT_KIBIBYTES, f"each round left {added} KiB"


async def hold(
    api: Api, stack: contextlib.AsyncExitStack, first: bytes, piece: bytes = b"", offered: int = 0, *, reads: bool = False
) -> None:
    """Open a connection until `stack` ends, and send `offered` bytes, or fewer where the gateway takes or wants no more."""
    address = urlsplit(api.url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port, limit=1)
    stack.callback(end, reader, writer)
    if reads:
        stack.callback(asyncio.create_task(read_all(reader)).cancel)
    with contextlib.suppress(ConnectionError, TimeoutError):
        async with asyncio.timeout(TAKEN_SECONDS):
            writer.write(first + piece * (offered // len(piece) if piece else 0))
            await writer.drain()


def end(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """End a connection; asyncio would do so as soon as nothing refers to its reader."""
    writer.transport.abort()


async def read_all(reader: asyncio.StreamReader) -> None:
    with contextlib.suppress(ConnectionError):
        while await reader.read(1 << 16):
            pass


@contextlib.asynccontextmanager
async def bounded(world: World, folder: Path, offered: int) -> AsyncIterator[Api]:
    """The victim: a gateway just started, which has no memory left over. Judge at the end of the block what it has grown by."""
    port, ops = ports.free(2)
    listen = {"HUBBUB_LISTEN": f"127.0.0.1:{port}", "HUBBUB_OPS_LISTEN": f"127.0.0.1:{ops}", "HUBBUB_INSTANCE": "victim"}
    ready = partial(probes.http_ok, "127.0.0.1", ops, "/readyz")
    command = Command("victim", (sys.executable, "-m", "gateway"), ready, settings(world.stack, folder) | listen)
    async with running(command, folder / "victim.log") as gateway:
        victim = Api(f"http://127.0.0.1:{port}", None, world.http)
        await victim.refused("GET", "/v1/me", reason="NOT_AUTHENTICATED")
        before = resident(gateway)
        yield victim
        for _ in range(TURNS):
            assert (await world.http.get(f"{victim.url}/healthz")).status_code == 200
        grown = resident(gateway) - before
    assert grown < offered + SLACK, f"{grown / MEBIBYTE:.1f} MiB for {offered / MEBIBYTE:.1f}"


@pytest.mark.parametrize(
    ("name", "reads"), [*((name, False) for name in SENDERS), *((name, True) for name in SENDERS if "requests" in name)]
)
async def test_what_one_connection_sends_costs_no_more_memory_than_its_bytes(
    world: World, tmp_path: Path, name: str, *, reads: bool
) -> None:
    async with contextlib.AsyncExitStack() as stack, bounded(world, tmp_path, OFFERED) as victim:
        await hold(victim, stack, *SENDERS[name], OFFERED, reads=reads)


@pytest.mark.parametrize("name", HOLDERS)
async def test_what_many_connections_hold_costs_no_more_memory_than_its_bytes(world: World, tmp_path: Path, name: str) -> None:
    data = HOLDERS[name]
    async with contextlib.AsyncExitStack() as stack, bounded(world, tmp_path, AMPLIFIED * HELD * len(data)) as victim:
        await asyncio.gather(*(hold(victim, stack, data) for _ in range(HELD)))


async def test_nothing_that_an_outsider_sends_counts_as_a_defect(world: World) -> None:
    """`HubbubDefects` wakes the operators for our faults, which these are not."""
    ann = await world.person("ann")
    before, logged = await defects(world), len(world.stack.log)
    for attack in ATTACKS:
        await attack(ann)
    for first, piece in SENDERS.values():
        async with contextlib.AsyncExitStack() as stack:
            await hold(ann, stack, first, piece, MEBIBYTE // 4)
    broken = CHUNKED + b"ZZ\r\n"
    for vanishing in (GET * 50, broken, broken.replace(b"/v1/none", b"/healthz"), LENGTH % 5 + b"{", UPGRADE):
        for _ in range(10):
            await sent(ann, vanishing)
            await sent(ann, GET + vanishing)
    for refused in (broken, broken.replace(b"/v1/none", b"/healthz"), GET + broken.replace(b"/v1/none", b"/healthz")):
        await sent(ann, refused, answered=b"HTTP/1.1 ")
    assert await defects(world) == before
    assert "Traceback" not in world.stack.log[logged:]


async def defects(world: World) -> dict[str, str]:
    """The defects that each gateway has counted, by where; from pages of metrics made after this call began."""
    found: dict[str, str] = {}
    for gateway in world.stack.gateways:
        page = await eventually(partial(fresh, world, gateway.name, await world.metrics(gateway.name)))
        lines = [line.rpartition(" ") for line in page.splitlines() if line.startswith("hubbub_defects_total{")]
        found |= {f"{gateway.name} {name}": count for name, _, count in lines}
    return found


async def fresh(world: World, process: str, stale: str) -> str:
    """A page of metrics that is another than `stale`, as the next is because of the process's own figures."""
    page = await world.metrics(process)
    return page if page != stale else ""

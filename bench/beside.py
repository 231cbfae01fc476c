"""Measures how long another user waits for a `pong` while one user floods the same gateway: `python -m bench.beside`.

One process pings every 10 ms, another one floods. A flooder whose socket is closed opens the next one as fast as it may.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import websockets

from stack import Stack

SECONDS = 5.0
PAUSE_SECONDS = 0.01
MASK = bytes(4)
TEXT, CONTINUATION, PING, PONG = 0x1, 0x0, 0x9, 0xA


def spell(opcode: int, payload: bytes = b"", *, fin: bool = True) -> bytes:
    """A client's frame."""
    size = len(payload)
    length = bytes([0x80 | size]) if size < 126 else b"\xfe" + size.to_bytes(2, "big")  # noqa: PLR2004 - RFC 6455
    return bytes([fin << 7 | opcode]) + length + MASK + payload


def ids(seed: int) -> list[str]:
    """Users who do not exist."""
    return [f"{seed}-{number}" for number in range(1_000)]


BRACKETS = spell(TEXT, b'{"type":"send","x":[' + b",".join([b"[]"] * 21_000) + b"]}")
SOCKETS: dict[str, list[bytes]] = {
    "fragments of one byte": [
        spell(TEXT, b"{", fin=False) + spell(CONTINUATION, b" ", fin=False) * 60_000 + spell(CONTINUATION, b"}")
    ],
    "text pings": [spell(TEXT, b'{"type":"ping"}') * 5_000],
    "pongs": [spell(PONG) * 10_000],
    "pings of the WebSocket": [spell(PING, b"x") * 10_000],
    "brackets, as fast as taken": [BRACKETS],
    "watch, made-up ids": [spell(TEXT, json.dumps({"type": "watch", "users": ids(seed)}).encode()) for seed in range(100)],
}
"""Blocks of bytes that one user's socket sends in turn, as fast as they are taken."""
PACED = {"brackets, four sockets, 49 a second": (BRACKETS, 4, 1 / 49)}
"""A frame, the number of sockets, and the pause between two frames of one."""
REQUESTS = {
    "24 searches at once": ("GET", "/v1/search?q=zzzzzzzzz", 24),
    "lists of channels, 24 at once": ("GET", "/v1/channels", 24),
    "tickets, 24 at once": ("POST", "/v1/tickets", 24),
}


@contextlib.asynccontextmanager
async def upgraded(url: str, token: str) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A WebSocket as bytes."""
    address = urlsplit(url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    try:
        lines = [
            "GET /v1/connect HTTP/1.1",
            f"Host: {address.netloc}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            f"Authorization: Bearer {token}",
        ]
        writer.write("\r\n".join([*lines, "", ""]).encode())
        await reader.readuntil(b"\r\n\r\n")
        yield reader, writer
    finally:
        writer.transport.abort()


async def flood_socket(url: str, token: str, blocks: list[bytes], pause: float) -> None:
    """Send blocks in turn on one socket after the other."""
    while True:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            async with upgraded(url, token) as (reader, writer):
                reading = asyncio.create_task(drained(reader))
                while not reading.done():
                    for block in blocks:
                        writer.write(block)
                        await writer.drain()
                        await asyncio.sleep(pause)
        await asyncio.sleep(0.01)


async def drained(reader: asyncio.StreamReader) -> None:
    """Read until the server closes."""
    with contextlib.suppress(ConnectionError):
        while await reader.read(1 << 20):
            pass


async def flood_requests(url: str, token: str, method: str, path: str, at_once: int) -> None:
    """Make so many requests at one time, forever."""
    async with httpx.AsyncClient(headers={"Authorization": f"Bearer {token}"}, timeout=15) as client:

        async def ask() -> None:
            while True:
                with contextlib.suppress(httpx.HTTPError):
                    await client.request(method, url + path)

        await asyncio.gather(*(ask() for _ in range(at_once)))


async def flood(kind: str, url: str, token: str) -> None:
    """Flood until killed."""
    if kind in REQUESTS:
        await flood_requests(url, token, *REQUESTS[kind])
    block, sockets, pause = PACED.get(kind, (b"", 1, 0.0))
    blocks = SOCKETS.get(kind, [block])
    await asyncio.gather(*(flood_socket(url, token, blocks, pause) for _ in range(sockets)))


async def measure(url: str, token: str) -> list[float]:
    """Milliseconds of each ping."""
    taken = []
    headers = {"Authorization": f"Bearer {token}"}
    async with websockets.connect(url.replace("http", "ws") + "/v1/connect", additional_headers=headers) as socket:
        ends = time.perf_counter() + SECONDS
        while time.perf_counter() < ends:
            began = time.perf_counter()
            await socket.send('{"type":"ping"}')
            while json.loads(await socket.recv())["type"] != "pong":
                pass
            taken.append((time.perf_counter() - began) * 1e3)
            await asyncio.sleep(PAUSE_SECONDS)
    return taken


async def signed_in(client: httpx.AsyncClient, url: str, user: str) -> str:
    """A token."""
    return str((await client.post(f"{url}/v1/dev/login", json={"user": user})).raise_for_status().json()["token"])


async def fill(client: httpx.AsyncClient, url: str, token: str) -> None:
    """Give the flooder 300 messages of 16 KB to search in."""
    headers = {"Authorization": f"Bearer {token}"}
    made = await client.post(f"{url}/v1/channels", json={"kind": "group", "name": "x"}, headers=headers)
    path = f"{url}/v1/channels/{made.json()['id']}/messages"
    for number in range(300):
        text = " ".join(f"{number}x{word}" for word in range(2_000))[:16_000]
        while (await client.post(path, json={"text": text}, headers=headers)).status_code != httpx.codes.CREATED:  # noqa: ASYNC110 - HTTP has no events
            await asyncio.sleep(0.2)


async def main() -> None:
    """Print a line for each flood."""
    with tempfile.TemporaryDirectory() as folder:
        async with Stack(Path(folder)) as stack, httpx.AsyncClient(timeout=30) as client:
            url = stack.gateways[0].url
            ann, mallory = await signed_in(client, url, "ann"), await signed_in(client, url, "mallory")
            await fill(client, url, mallory)
            print(f"{'beside':40} {'p50':>8} {'p99':>8} {'longest':>8}  (ms)")
            for kind in ("nothing", *SOCKETS, *PACED, *REQUESTS):
                flooding = None
                if kind != "nothing":
                    flooding = await asyncio.create_subprocess_exec(sys.executable, "-m", "bench.beside", kind, url, mallory)
                    await asyncio.sleep(1)
                taken = sorted(await measure(url, ann))
                if flooding is not None:
                    flooding.kill()
                    await flooding.wait()
                p99 = taken[int(len(taken) * 0.99)]
                print(f"{kind:40} {statistics.median(taken):8.2f} {p99:8.2f} {taken[-1]:8.2f}", flush=True)
                await asyncio.sleep(1)


if __name__ == "__main__":
    asyncio.run(flood(*sys.argv[1:]) if len(sys.argv) > 1 else main())

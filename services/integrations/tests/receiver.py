"""A receiver of webhooks and a name server whose answers a test chooses, with real sockets and without an HTTP library."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Received:
    """One request."""

    headers: dict[str, str]
    body: bytes

    @property
    def seq(self) -> int:
        found: int = json.loads(self.body)["seq"]
        return found

    @property
    def channel(self) -> str:
        found: str = json.loads(self.body)["channel"]
        return found


Answer = bytes | Callable[[asyncio.StreamWriter], Awaitable[None]]
Behaviour = Callable[[Received], Answer]


def answer(status: int = 200, body: bytes = b"", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status} X", f"content-length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


@dataclass
class Receiver:
    """Records requests and answers each by `behaviour`."""

    host: str
    port: int = 0
    behaviour: Behaviour = lambda _received: answer()
    received: list[Received] = field(default_factory=list)
    connections: int = 0
    _arrivals: asyncio.Condition = field(default_factory=asyncio.Condition)

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}/hook"

    @property
    def seqs(self) -> list[int]:
        return [each.seq for each in self.received]

    async def arrived(self, count: int) -> None:
        """Wait for so many requests in all."""
        await self.until(lambda: len(self.received) >= count)

    async def until(self, condition: Callable[[], bool], seconds: float = 20) -> None:
        """Wait until the received requests fulfil a condition."""
        async with asyncio.timeout(seconds), self._arrivals:
            await self._arrivals.wait_for(condition)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            while await self._serve_one(reader, writer):
                pass
        writer.close()

    async def _serve_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        received = Received(headers, body)
        self.received.append(received)
        async with self._arrivals:
            self._arrivals.notify_all()
        chosen = self.behaviour(received)
        if isinstance(chosen, bytes):
            writer.write(chosen)
            await writer.drain()
            return True
        await chosen(writer)
        return False


@asynccontextmanager
async def receiver(host: str = "127.0.0.1", port: int = 0) -> AsyncIterator[Receiver]:
    found = Receiver(host)
    server = await asyncio.start_server(found.serve, host, port)
    found.port = server.sockets[0].getsockname()[1]
    try:
        yield found
    finally:
        server.close()


class NameServer(asyncio.DatagramProtocol):
    """Answers every question for an IPv4 address with the next of `answers`, over and over; other questions with nothing."""

    def __init__(self, answers: list[str]) -> None:
        self.answers = answers
        self.questions = 0
        self._transport: Any = None

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        end = data.index(b"\0", 12) + 5  # the name, its type and class
        question = data[12:end]
        record = b""
        if question[-4:-2] == b"\0\1":
            address = ipaddress.IPv4Address(self.answers[self.questions % len(self.answers)])
            self.questions += 1
            record = b"\xc0\x0c\0\1\0\1\0\0\0\0\0\4" + address.packed  # no time to live
        head = data[:2] + b"\x81\x80\0\1" + len(record[:1]).to_bytes(2) + b"\0\0\0\0"
        self._transport.sendto(head + question + record, addr)


@asynccontextmanager
async def name_server(*answers: str) -> AsyncIterator[tuple[NameServer, str]]:
    loop = asyncio.get_running_loop()
    transport, protocol = await loop.create_datagram_endpoint(lambda: NameServer(list(answers)), local_addr=("127.0.0.1", 0))
    port = transport.get_extra_info("sockname")[1]
    try:
        yield protocol, f"127.0.0.1:{port}"
    finally:
        transport.close()

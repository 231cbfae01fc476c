"""A WebSocket client at the level of bytes: it sends any frame, valid or not, and reads the answers.

It checks the server's frames against RFC 6455 (never masked, shortest lengths, no reserved bits) and does not interpret them.
"""

import asyncio
import base64
import contextlib
import hashlib
import json
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from tests.client.api import Api
from tests.client.shapes import Mismatch

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_REPLY_SECONDS = 6.0


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame from the server."""

    opcode: int
    payload: bytes

    @property
    def code(self) -> int:
        """The code of a close frame; 0 if it has none."""
        return int.from_bytes(self.payload[:2], "big")


def spell(
    opcode: int,
    payload: bytes = b"",
    *,
    fin: bool = True,
    reserved: int = 0,
    masked: bool = True,
    length: int | None = None,
    form: int | None = None,
) -> bytes:
    """A client's frame. `length` announces another length than the payload's, `form` (7, 16, 64 bits) its encoding."""
    size = len(payload) if length is None else length
    bits = form or (7 if size < 126 else 16 if size < 1 << 16 else 64)
    first = bytes([(fin << 7) | (reserved << 4) | opcode])
    match bits:
        case 7:
            head = first + bytes([(masked << 7) | size])
        case 16:
            head = first + bytes([(masked << 7) | 126]) + size.to_bytes(2, "big")
        case _:
            head = first + bytes([(masked << 7) | 127]) + size.to_bytes(8, "big")
    if not masked:
        return head + payload
    mask = os.urandom(4)
    return head + mask + bytes(byte ^ mask[index & 3] for index, byte in enumerate(payload))


class Wire:
    """One TCP connection after its upgrade."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def send(self, *frames: bytes, chop: int = 0) -> None:
        """Send bytes, in pieces of `chop` bytes if given."""
        data = b"".join(frames)
        for start in range(0, len(data), chop or len(data) or 1):
            self._writer.write(data[start : start + (chop or len(data))])
            await self._writer.drain()

    async def frame(self) -> Frame:
        """The next frame. Raises EOFError at the end, TimeoutError, Mismatch."""
        async with asyncio.timeout(_REPLY_SECONDS):
            first, second = await self._bytes(2)
            size = second & 0x7F
            if first & 0x70 or not first & 0x80 or second & 0x80:
                raise Mismatch(f"a frame beginning with {first:#x} {second:#x}")
            if size >= 126:
                extended = int.from_bytes(await self._bytes(2 if size == 126 else 8), "big")
                if extended < (126 if size == 126 else 1 << 16):
                    raise Mismatch(f"a length of {extended} spelled long")
                size = extended
            return Frame(first & 0xF, await self._bytes(size))

    async def frames(self) -> list[Frame]:
        """All frames until the server ends the stream; its close frame is answered."""
        found = []
        try:
            while True:
                found.append(await self.frame())
                if found[-1].opcode == CLOSE:
                    await self.send(spell(CLOSE, found[-1].payload[:2]))
        except (EOFError, ConnectionError):
            return found

    async def message(self) -> Any:
        """The next text frame's JSON."""
        frame = await self.frame()
        if frame.opcode != TEXT:
            raise Mismatch(f"expected text, got {frame}")
        return json.loads(frame.payload)

    async def ended(self) -> int:
        """The code of the close frame that ends the stream: exactly one, and nothing after it."""
        frames = await self.frames()
        closes = [frame for frame in frames if frame.opcode == CLOSE]
        if len(closes) != 1 or frames[-1] is not closes[0]:
            raise Mismatch(f"expected one close at the end, got {frames}")
        return closes[0].code

    async def _bytes(self, count: int) -> bytes:
        try:
            return await self._reader.readexactly(count)
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            raise EOFError from error


async def handshake(
    url: str, headers: dict[str, str], *, start: str = "GET /v1/connect HTTP/1.1", rest: bytes = b""
) -> tuple[int, dict[str, str], asyncio.StreamReader, asyncio.StreamWriter]:
    """Send a request head and `rest`; returns status and headers of the answer, and the stream after them."""
    address = urlsplit(url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    lines = [start, *(f"{name}: {value}" for name, value in {"Host": address.netloc, **headers}.items()), "", ""]
    writer.write("\r\n".join(lines).encode("latin-1") + rest)
    async with asyncio.timeout(_REPLY_SECONDS):
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    fields = dict(line.lower().split(": ", 1) for line in head[1:] if line)
    return int(head[0].split()[1]), fields, reader, writer


def upgrade(api: Api, key: str = "dGhlIHNhbXBsZSBub25jZQ==") -> dict[str, str]:
    """The headers of a valid handshake."""
    return {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": key,
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Protocol": "hubbub.v1",
        "Authorization": f"Bearer {api.token}",
    }


def accepts(key: str) -> str:
    """The value of Sec-WebSocket-Accept for a key (RFC 6455, 4.2.2)."""
    return base64.b64encode(hashlib.sha1(key.encode() + _GUID).digest()).decode()


@contextlib.asynccontextmanager
async def wire(api: Api, *, headers: dict[str, str] | None = None, rest: bytes = b"") -> AsyncIterator[Wire]:
    """An open connection after its `hello`. `rest` is sent together with the handshake."""
    status, fields, reader, writer = await handshake(api.url, {**upgrade(api), **(headers or {})}, rest=rest)
    try:
        if status != 101 or "sec-websocket-extensions" in fields:
            raise Mismatch(f"{status} {fields}")
        connection = Wire(reader, writer)
        if (await connection.message())["type"] != "hello":
            raise Mismatch("no hello")
        yield connection
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

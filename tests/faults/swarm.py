"""Thousands of cheap clients: sockets that only follow one channel and reconnect as `reconnect` frames say.

Each keeps its position and reconnects to another gateway after the time in `reconnect`. Shapes are not checked.
"""

import asyncio
import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from tests.client import Api

_RETRY_SECONDS = 0.1
_TEXT, _CLOSE = 1, 8
_RESTARTING = 1012


@dataclass(slots=True)
class Light:
    """One client."""

    api: Api
    urls: Sequence[str]
    """Its gateway, and the next ones."""
    channel: str
    position: int
    seen: list[int] = field(default_factory=list)
    """Numbers of the channel's events in order of arrival."""
    reconnects: list[int] = field(default_factory=list)
    """`after_ms` of each `reconnect`."""
    codes: list[int] = field(default_factory=list)
    """Close codes; 0 for a connection that broke without one."""
    refused: int = 0
    """Number of refused connections."""
    opened: list[float] = field(default_factory=list)
    """When each of its connections opened."""

    async def run(self) -> None:
        """Follow until cancelled."""
        turn = 0
        while True:
            code = await self._stay(self.urls[min(turn, len(self.urls) - 1)])
            self.codes.append(code)
            turn += 1
            await asyncio.sleep(self.reconnects[-1] / 1000 if code == _RESTARTING and self.reconnects else _RETRY_SECONDS)

    async def _stay(self, url: str) -> int:
        address = urlsplit(url)
        reader, writer = await asyncio.open_connection(address.hostname, address.port)
        try:
            writer.write(_upgrade(self.api.token or ""))
            if b" 101 " not in await reader.readuntil(b"\r\n\r\n"):
                self.refused += 1
                return 0
            writer.write(_masked({"type": "sync", "positions": {self.channel: self.position}}))
            return await self._read(reader)
        except (OSError, asyncio.IncompleteReadError):
            return 0
        finally:
            writer.transport.abort()

    async def _read(self, reader: asyncio.StreamReader) -> int:
        while True:
            opcode, payload = await _frame(reader)
            if opcode == _CLOSE:
                return int.from_bytes(payload[:2], "big")
            frame = json.loads(payload) if opcode == _TEXT else {}
            match frame.get("type"):
                case "synced":
                    self.opened.append(time.monotonic())
                case "event":
                    self.seen.append(frame["seq"])
                    self.position = frame["seq"]
                case "reconnect":
                    self.reconnects.append(frame["after_ms"])


async def _frame(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    first, size = await reader.readexactly(2)
    if size >= 126:
        size = int.from_bytes(await reader.readexactly(2 if size == 126 else 8), "big")
    return first & 15, await reader.readexactly(size)


def _upgrade(token: str) -> bytes:
    lines = (
        "GET /v1/connect HTTP/1.1",
        "Host: hubbub",
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        "Sec-WebSocket-Protocol: hubbub.v1",
        f"Authorization: Bearer {token}",
    )
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def _masked(frame: Any) -> bytes:
    data, mask = json.dumps(frame).encode(), os.urandom(4)
    head = bytes((0x81, 0x80 | len(data))) if len(data) < 126 else bytes((0x81, 0xFE)) + len(data).to_bytes(2, "big")
    return head + mask + bytes(byte ^ mask[index & 3] for index, byte in enumerate(data))

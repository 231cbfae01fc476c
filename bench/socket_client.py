"""A client in a few lines, so that one process can play ten thousand of them."""

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from typing import Any

Frame = dict[str, Any]
_TEXT, _LONG, _LONGEST_HEAD = 1, 126, 4
"""Of a WebSocket frame: the opcode, the size that two more bytes replace, and the bytes before the payload then."""


class SocketClient(asyncio.Protocol):
    """One connection: counts frames by type, opens the flow, keeps the heartbeat, and hands `event` frames on."""

    def __init__(self, frames: Counter[str], token: str, on_event: Callable[["SocketClient", Frame], None] | None = None) -> None:
        self._frames = frames
        self._token = token
        self._on_event = on_event
        self._unparsed = b""
        self._upgraded = False
        self._heartbeat: asyncio.TimerHandle | None = None
        self.opened = asyncio.get_running_loop().create_future()
        """Done when the flow is open."""
        self.closed = asyncio.get_running_loop().create_future()
        """Done when the connection has ended."""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the upgrade."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - narrows the type
        self._transport = transport
        transport.write(
            f"GET /v1/connect HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {self._token}\r\nUpgrade: websocket\r\n"
            "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
            "Sec-WebSocket-Protocol: hubbub.v1\r\n\r\n".encode()
        )

    def data_received(self, data: bytes) -> None:
        """Take the frames that are complete."""
        self._unparsed += data
        if not self._upgraded:
            head, found, rest = self._unparsed.partition(b"\r\n\r\n")
            if not found:
                return
            assert head.startswith(b"HTTP/1.1 101"), head  # noqa: S101 - the measurement is void
            self._upgraded, self._unparsed = True, rest
        while len(self._unparsed) >= _LONGEST_HEAD:
            size, start = self._unparsed[1], 2
            if size == _LONG:
                size, start = int.from_bytes(self._unparsed[2:4], "big"), 4
            if len(self._unparsed) < start + size:
                return
            opcode, payload = self._unparsed[0] & 15, self._unparsed[start : start + size]
            self._unparsed = self._unparsed[start + size :]
            if opcode == _TEXT:
                self._take(json.loads(payload))

    def connection_lost(self, _exc: Exception | None) -> None:
        """Stop the heartbeat."""
        if self._heartbeat:
            self._heartbeat.cancel()
        if not self.closed.done():
            self.closed.set_result(None)

    def _take(self, frame: Frame) -> None:
        kind = frame["type"]
        if kind == "pong":
            return
        self._frames[kind] += 1
        if kind == "hello":
            self._beat(frame["heartbeat_seconds"] / 2)
            self.send(type="sync", positions={})
        elif kind == "synced" and not self.opened.done():
            self.opened.set_result(None)
        elif kind == "event" and self._on_event:
            self._on_event(self, frame)

    def _beat(self, seconds: float) -> None:
        """Send a heartbeat from time to time. Its answer is not counted."""
        if not self._transport.is_closing():
            self.send(type="ping")
            self._heartbeat = asyncio.get_running_loop().call_later(seconds, self._beat, seconds)

    def send(self, **frame: object) -> None:
        """Send a frame, masked with zeros."""
        payload = json.dumps(frame).encode()
        size = bytes([128 | len(payload)]) if len(payload) < _LONG else bytes([128 | _LONG]) + len(payload).to_bytes(2, "big")
        self._transport.write(b"\x81" + size + bytes(4) + payload)

    def close(self) -> None:
        """Drop the connection."""
        self._transport.close()

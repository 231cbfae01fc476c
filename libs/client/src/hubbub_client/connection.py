"""One WebSocket: handshake, frames, close codes. `session` knows what the frames mean, `client` when to connect again."""

import asyncio
import contextlib
import json
import ssl
import time
from collections.abc import AsyncIterator, Mapping
from typing import Any, Protocol

import websockets
from websockets.asyncio.client import ClientConnection
from websockets.typing import Subprotocol

_SUBPROTOCOL = "hubbub.v1"
_CLOSE_SECONDS = 2.0
_FRAME_BYTES_MAX = 8 << 20
"""Of a frame from the server; far above any that it sends."""
_BROKEN = 1006
"""The close code of a connection that ended without one (RFC 6455, 7.1.5)."""


class Tap(Protocol):
    """Sees the frames of every connection as they are on the wire, for logs and tests. It must not block or raise."""

    def opened(self, url: str, /) -> None:
        """The server accepted a connection."""

    def sent(self, text: str, /) -> None:
        """A frame is about to be sent."""

    def received(self, text: str, /) -> None:
        """A frame has arrived."""

    def closed(self, code: int, /) -> None:
        """The connection ended; 1006 if it broke."""


class Closed(Exception):
    """The connection ended."""

    def __init__(self, code: int, reason: str = "", *, moved: bool = False) -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason
        self.moved = moved
        """The server had asked the client to reconnect at this moment."""


class Rejected(Exception):
    """The handshake was answered with this HTTP status."""

    def __init__(self, status: int, retry_after: float) -> None:
        super().__init__(status)
        self.status = status
        self.retry_after = retry_after
        """Seconds; 0 if the server named no time."""


class Connection:
    """An open WebSocket."""

    def __init__(self, socket: ClientConnection, tap: Tap | None) -> None:
        self._socket = socket
        self._tap = tap
        self.heard = time.monotonic()
        """When the last frame arrived."""

    async def send(self, frame: Mapping[str, Any]) -> None:
        """Send a frame. Waits while the server reads slowly. Raises Closed."""
        text = encode(frame)
        if self._tap is not None:
            self._tap.sent(text)
        try:
            await self._socket.send(text)
        except websockets.ConnectionClosed as error:
            raise _closed(error) from None

    async def receive(self) -> tuple[dict[str, Any], int]:
        """Wait for the next frame; return it with its size in characters. What is no frame is skipped. Raises Closed."""
        while True:
            try:
                text = await self._socket.recv()
            except websockets.ConnectionClosed as error:
                raise _closed(error) from None
            self.heard = time.monotonic()
            frame = _decode(text)
            if frame is not None and isinstance(text, str):
                if self._tap is not None:
                    self._tap.received(text)
                return frame, len(text)

    @property
    def code(self) -> int:
        """The close code of a connection that ended."""
        return self._socket.close_code or _BROKEN


def encode(frame: Mapping[str, Any]) -> str:
    """A frame's text on the wire."""
    return json.dumps(frame, ensure_ascii=False, separators=(",", ":"))


@contextlib.asynccontextmanager
async def connect(
    url: str, token: str, seconds: float, tls: ssl.SSLContext | None = None, tap: Tap | None = None
) -> AsyncIterator[Connection]:
    """Connect to the server at this origin, and disconnect at the end of the block.

    Raises Rejected if the handshake is refused, Closed if the server is not reachable.
    """
    address = f"{url.replace('http', 'ws', 1)}/v1/connect"
    try:
        socket = await websockets.connect(
            address,
            subprotocols=[Subprotocol(_SUBPROTOCOL)],
            additional_headers={"Authorization": f"Bearer {token}"},
            compression=None,
            max_size=_FRAME_BYTES_MAX,
            open_timeout=seconds,
            close_timeout=_CLOSE_SECONDS,
            ping_interval=None,  # the protocol has a heartbeat of its own
            ssl=tls if address.startswith("wss:") else None,
        )
    except websockets.InvalidStatus as error:
        raise Rejected(error.response.status_code, _seconds(error.response.headers.get("Retry-After"))) from None
    except (OSError, TimeoutError, websockets.InvalidHandshake, websockets.ConnectionClosed, EOFError) as error:
        raise Closed(_BROKEN, str(error)) from None
    connection = Connection(socket, tap)
    if tap is not None:
        tap.opened(url)
    try:
        yield connection
    finally:
        await _close(socket)
        if tap is not None:
            tap.closed(connection.code)


async def _close(socket: ClientConnection) -> None:
    """Close, within a deadline even if the server does not answer."""
    try:
        async with asyncio.timeout(_CLOSE_SECONDS):
            await socket.close()
    except TimeoutError:
        socket.transport.abort()


def _decode(text: str | bytes) -> dict[str, Any] | None:
    try:
        frame = json.loads(text)
    except ValueError:
        return None
    return frame if isinstance(frame, dict) and isinstance(frame.get("type"), str) else None


def _closed(error: websockets.ConnectionClosed) -> Closed:
    return Closed(error.rcvd.code, error.rcvd.reason) if error.rcvd is not None else Closed(_BROKEN)


def _seconds(text: str | None) -> float:
    return float(text) if text is not None and text.isdigit() else 0.0

"""The gateway's one port: uvicorn serves HTTP on it, and `Door` takes over WebSocket upgrades of /v1/connect.

`Door` is uvicorn's protocol class with three additions: bounds on the size (431) and duration (408) of a request's head; errors
as problem+json that reach even a client that is still sending; and the hand-over of upgrades to `door.upgrade`. After the
hand-over uvicorn neither holds nor sees the connection.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import httptools
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from chassis.config import Address
from chassis.errors import HubbubError, InvalidArgument, NotFound, TooLarge
from gateway.http import problems
from gateway.metrics import OPENED

LINE_BYTES = 16 * 1024
"""One header line or the request line."""
_SEPARATORS = 4
"""Bytes of a header line besides name and value."""
HEAD_BYTES = 64 * 1024
"""The whole head of a request."""
HEAD_SECONDS = 10.0
"""From the moment the client could send the first byte to the end of the head."""
LINGER_SECONDS = 2.0
"""Time for a client that is still sending to read an error."""
BACKLOG = 4_096
CONNECT_PATH = b"/v1/connect"

Upgrade = Callable[[asyncio.Transport, bytes, list[tuple[bytes, bytes]], bytes], None]
"""Called with a paused transport, the request's target and headers, and the bytes after its head."""


class Door(HttpToolsProtocol):
    """One TCP connection, until it becomes a WebSocket."""

    def __init__(self, *, upgrade: Upgrade, **uvicorns: Any) -> None:
        super().__init__(**uvicorns)
        self._upgrade = upgrade
        self._deadline: asyncio.TimerHandle | None = None
        self._in_head = True
        """A request's head is awaited or incomplete."""
        self._head_size = 0
        """Bytes of an incomplete head."""
        self._line_size = 0
        """Bytes of its last line."""
        self._oversize = False
        self._refused = False
        """An error has been written: further input is discarded."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the timer."""
        super().connection_made(transport)
        self._deadline = self.loop.call_later(HEAD_SECONDS, self._late)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timer."""
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Feed the parser within the bounds."""
        if self._refused:
            return
        self._unset_keepalive_if_required()
        if self._in_head and self._outgrown(data):
            self._refuse(TooLarge("The request's head is too large"), 431)
            return
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._take_upgrade(data[upgrade.args[0] :])
        except httptools.HttpParserError:
            self._refuse(InvalidArgument("This is not an HTTP request"), 400)
        else:
            if self._oversize:
                self._refuse(TooLarge("A line of the request's head is too large"), 431)

    def on_message_begin(self) -> None:
        """Begin a head."""
        super().on_message_begin()
        self._in_head = True
        if self._deadline is None:
            self._deadline = self.loop.call_later(HEAD_SECONDS, self._late)

    def on_url(self, url: bytes) -> None:
        """Take (a piece of) the target."""
        super().on_url(url)
        self._oversize = self._oversize or len(self.url) > LINE_BYTES

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header."""
        super().on_header(name, value)
        self._oversize = self._oversize or len(name) + len(value) > LINE_BYTES

    def on_headers_complete(self) -> None:
        """End the head; an oversize one starts no request."""
        self._stop_timer()
        self._in_head = False
        self._head_size = self._line_size = 0
        total = sum(len(name) + len(value) + 4 for name, value in self.headers)
        self._oversize = self._oversize or total > HEAD_BYTES
        if not self._oversize:
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take (a piece of) the body."""
        if not self._oversize:
            super().on_body(body)

    def on_message_complete(self) -> None:
        """End the request."""
        self._in_head = True
        if not self._oversize:
            super().on_message_complete()

    def _should_upgrade(self) -> bool:
        return self._get_upgrade() == b"websocket"

    def _take_upgrade(self, rest: bytes) -> None:
        if self._oversize:
            self._refuse(TooLarge("The request's head is too large"), 431)
        elif not self._should_upgrade():  # another protocol: answered as an HTTP request
            return
        elif self.url.partition(b"?")[0] != CONNECT_PATH:
            OPENED.labels("404").inc()
            self._refuse(NotFound(), 404)
        elif self.scope["method"] != "GET" or self.scope["http_version"] != "1.1":
            OPENED.labels("400").inc()
            self._refuse(InvalidArgument("A WebSocket begins with GET and HTTP/1.1"), 400)
        else:
            transport, target, headers = self.transport, self.url, self.headers
            self.connections.discard(self)
            self.parser = None  # type: ignore[assignment]  # it refers to this object, which must be freed
            transport.pause_reading()
            self._upgrade(transport, target, headers, rest)

    def _outgrown(self, data: bytes) -> bool:
        """Whether an incomplete head, or its last line, is too large already."""
        if b"\r\n\r\n" in data:  # complete: its size is checked as it is parsed
            return False
        first, *others = map(len, data.split(b"\n"))
        lines = [self._line_size + first, *others]
        self._line_size = lines[-1]
        self._head_size += len(data)
        return max(lines) > LINE_BYTES + _SEPARATORS or self._head_size > HEAD_BYTES

    def _late(self) -> None:
        self._deadline = None
        if self._head_size or self._line_size:
            self._refuse(InvalidArgument("The request's head took too long"), 408)
        else:
            self.transport.close()

    def _refuse(self, error: HubbubError, status: int) -> None:
        """Write an error, and let the client finish sending before the connection closes: a reset could overtake the error."""
        self._stop_timer()
        self._refused = True
        transport = self.transport
        if transport.is_closing():
            return
        transport.write(problems.raw(error, status))
        if transport.can_write_eof():
            transport.write_eof()
        self._deadline = self.loop.call_later(LINGER_SECONDS, transport.abort)

    def _stop_timer(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


class Server(uvicorn.Server):
    """uvicorn without signal handlers: `chassis.lifecycle` handles signals."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Do nothing."""
        yield


def make_server(app: ASGIApp, upgrade: Upgrade) -> Server:
    """A server for `app`; serve it with a socket of `bind`."""
    config = uvicorn.Config(
        app,
        http=partial(Door, upgrade=upgrade),  # type: ignore[arg-type]  # called as the class would be
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=3,
        backlog=BACKLOG,
    )
    return Server(config)


def bind(listen: Address) -> socket.socket:
    """A listening socket. Raises `OSError` where the address is taken."""
    family = socket.AF_INET6 if ":" in listen.host else socket.AF_INET
    bound = socket.socket(family, socket.SOCK_STREAM)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((listen.host.strip("[]"), listen.port))
        bound.listen(BACKLOG)
        bound.setblocking(False)
    except OSError:
        bound.close()
        raise
    return bound

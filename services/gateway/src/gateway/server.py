"""The one port: uvicorn speaks HTTP on it, and `Door` takes the upgrade of /v1/connect out of its hands.

`Door` is uvicorn's protocol class with three things added: bounds on the request head (431) and on the time it takes (408),
refusals as problem+json that reach even a client that is still sending, and the hand-over of WebSocket upgrades to
`inbound.upgrade`. uvicorn never sees a socket again afterwards, and nothing of uvicorn's is held by one.
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
"""Bytes of a line that are neither its name nor its value."""
HEAD_BYTES = 64 * 1024
"""The whole head."""
HEAD_SECONDS = 10.0
"""From the first byte the client could send to the end of the head."""
LINGER_SECONDS = 2.0
"""For the client to read a refusal while it is still sending."""
BACKLOG = 4_096
CONNECT_PATH = b"/v1/connect"

Upgrade = Callable[[asyncio.Transport, bytes, list[tuple[bytes, bytes]], bytes], None]
"""Called with a paused transport, the request's target and headers, and what has come after its head."""


class Door(HttpToolsProtocol):
    """One TCP connection until it is a WebSocket."""

    def __init__(self, *, upgrade: Upgrade, **uvicorns: Any) -> None:
        super().__init__(**uvicorns)
        self._upgrade = upgrade
        self._deadline: asyncio.TimerHandle | None = None
        self._in_head = True
        """The head of a request is awaited or under way."""
        self._head_size = 0
        """Bytes of a head that is not whole yet."""
        self._line_size = 0
        """Bytes of its last line."""
        self._oversize = False
        self._refused = False
        """A refusal has been written: what still comes is thrown away."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the clock."""
        super().connection_made(transport)
        self._deadline = self.loop.call_later(HEAD_SECONDS, self._late)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the clock."""
        self._stop_clock()
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
            self._refuse(InvalidArgument("This is no HTTP request"), 400)
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
        """End the head; nothing is started for one that is refused."""
        self._stop_clock()
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
        elif not self._should_upgrade():  # to something else: answered as the HTTP request it also is
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
            self.parser = None  # type: ignore[assignment]  # it holds this object, and the upgrade must not
            transport.pause_reading()
            self._upgrade(transport, target, headers, rest)

    def _outgrown(self, data: bytes) -> bool:
        """Whether the head's last line, or the head, is too large before it has ended."""
        if b"\r\n\r\n" in data:  # it ends here; what it amounts to is counted as it is parsed
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
        """Answer, then let the client finish sending before the connection goes: a reset could overtake the answer."""
        self._stop_clock()
        self._refused = True
        transport = self.transport
        if transport.is_closing():
            return
        transport.write(problems.raw(error, status))
        if transport.can_write_eof():
            transport.write_eof()
        self._deadline = self.loop.call_later(LINGER_SECONDS, transport.abort)

    def _stop_clock(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None


class Server(uvicorn.Server):
    """uvicorn without signal handlers: when to stop is the process's matter."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals alone."""
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

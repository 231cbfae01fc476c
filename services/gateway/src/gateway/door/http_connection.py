"""One client connection, from its first byte until it closes or becomes a WebSocket.

`HttpConnection` is uvicorn's protocol class with bounds. At most one request is in hand: what a client sends behind it stays
unparsed, and reading is paused, until the answer is complete. Each phase has a deadline, so a connection always ends. Memory is
proportional to the bytes received: heads, chunk framing and trailers are bounded, and trailers are dropped (RFC 9110, section
6.5.1). A refusal is problem+json and reaches even a client that is still sending.

Upgrades are handed over by their path (`door.upgrade`: /v1/connect), after which uvicorn neither holds nor sees the connection.
"""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Callable, Mapping
from typing import Any, cast

import httptools
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from chassis.errors import HubbubError, InvalidArgument, NotAllowed, NotFound, TooLarge, Unavailable
from gateway.door.capacity import Capacity, Room
from gateway.door.hosts import ServedHost, host_name
from gateway.http import problems
from gateway.metrics import OPENED, REFUSED

LINE_BYTES = 16 * 1024
"""One header line or the request line."""
_SEPARATORS = 4
"""Bytes of a header line besides name and value."""
HEAD_BYTES = 64 * 1024
"""The head of a request. Also the framing of its body: chunk sizes, chunk extensions and trailers."""
FIELDS = 128
"""Header lines and trailers of a request."""
CHUNKS = 4_096
"""Pieces of a chunked body."""
SMALL_BYTES = 64 * 1024
"""An unread body of this size is read and discarded after the answer; a larger one ends the connection."""
HEAD_SECONDS = 10.0
"""From the moment the client could send the first byte (in a later request: from its first byte) to the end of the head."""
BODY_SECONDS = 10.0
"""Without a byte of the body."""
BODY_TOTAL_SECONDS = 30.0
"""From the end of the head to the end of the body."""
IDLE_SECONDS = 30.0
"""Between an answer and the next request."""
WRITE_SECONDS = 60.0
"""Without progress, while an answer waits to be written."""
LINGER_SECONDS = 2.0
"""Time for a client that is still sending to read an error."""
FULL_SECONDS = 2.0
"""For the head of a request on a connection beyond the limit."""
FULL_RETRY_SECONDS = 5
PROBES = frozenset({b"/healthz", b"/readyz"})
"""Answered to every host, and on connections beyond the limit."""
_END = b"\r\n\r\n"
"""Ends every head and every chunked body. The parser accepts no other line ends."""

Upgrade = Callable[[asyncio.Transport, bytes, list[tuple[bytes, bytes]], bytes], None]
"""Called with a paused transport, the request's target and headers, and the bytes after its head."""
Upgrades = Mapping[bytes, Upgrade]
"""By the path of the request."""


class _Stage(enum.Enum):
    """What the client sends next."""

    IDLE = enum.auto()
    """A request, or nothing."""
    HEAD = enum.auto()
    BODY = enum.auto()


class _Stop(Exception):
    """Raised in a callback of the parser, which then accepts no more."""


class _Flow(FlowControl):
    """uvicorn's flow control, which does not resume reading while a request waits."""

    blocked = False
    """A request waits."""

    def resume_reading(self) -> None:
        """Resume, unless a request waits."""
        if not self.blocked:
            super().resume_reading()


class _Answers:
    """What the application writes to: drops what comes after the end, and lets the connection decide how to close."""

    __slots__ = ("_transport", "ended", "on_close")

    def __init__(self, transport: asyncio.Transport, on_close: Callable[[], None]) -> None:
        self._transport = transport
        self.on_close: Callable[[], None] | None = on_close
        self.ended = False

    def write(self, data: bytes) -> None:
        if not self.is_closing():
            self._transport.write(data)

    def is_closing(self) -> bool:
        return self.ended or self._transport.is_closing()

    def close(self) -> None:
        if self.on_close is not None:
            self.on_close()


class HttpConnection(HttpToolsProtocol):
    """One TCP connection, until it becomes a WebSocket."""

    flow: _Flow

    def __init__(self, *, upgrades: Upgrades, served: ServedHost, capacity: Capacity, **uvicorns: Any) -> None:
        super().__init__(**uvicorns)
        self._upgrades = upgrades
        self._served = served
        self._capacity = capacity
        self._answers: _Answers
        self._stage = _Stage.IDLE
        self._held = bytearray()
        """Received and not parsed yet."""
        self._tail = b""
        """The last three bytes parsed, unless they belong to an `_END`."""
        self._size = 0
        """Bytes of the head, then bytes of framing besides."""
        self._line_size = 0
        """Bytes of the head's last line."""
        self._fields = 0
        """Header lines and trailers."""
        self._chunks = 0
        self._left: int | None = None
        """Bytes left of a body of known length."""
        self._unread = 0
        """Bytes of the body discarded after the answer."""
        self._started = False
        """The application has the request that is being read."""
        self._later = False
        """A request was read before."""
        self._problem: tuple[HubbubError, int] | None = None
        """Why a callback stopped the parser, and the status to answer."""
        self._surplus = False
        """The connection is beyond the limit."""
        self._ending = False
        """Further input is discarded."""
        self._deadline: asyncio.TimerHandle | None = None
        """Ends the current phase."""
        self._body_progress = self._body_end = 0.0
        """On the loop's clock: when the body last grew, and when it must be complete."""
        self._write_deadline: asyncio.TimerHandle | None = None
        """Ends a connection whose client does not read."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the timer, or refuse a connection beyond the limit."""
        super().connection_made(transport)
        self.flow = _Flow(transport)
        self._answers = _Answers(transport, self._close_answered)
        room = self._capacity.room(transport.get_extra_info("socket").fileno())
        self._surplus = room is not Room.ALL
        if room is Room.NOTHING:
            REFUSED.labels("503").inc()
            self._ending = True
            transport.write(problems.raw(_full()))
            transport.close()
        else:
            self._expect(FULL_SECONDS if self._surplus else HEAD_SECONDS, self._late)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop the timers."""
        self._detach()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse, unless a request is in hand."""
        if not self._ending:
            self._held += data
            self._parse()

    def pause_writing(self) -> None:
        """The client reads more slowly than the application writes."""
        super().pause_writing()
        self._watch_writing()

    def resume_writing(self) -> None:
        """The client reads."""
        super().resume_writing()
        if self._write_deadline is not None and not self._ending:
            self._write_deadline.cancel()
            self._write_deadline = None

    # Called by the parser

    def on_message_begin(self) -> None:
        """Begin a head."""
        if self._stage is not _Stage.HEAD:  # this class and the parser disagree on where the last request ended
            raise _Stop
        super().on_message_begin()
        self._fields = self._chunks = self._unread = 0
        self._started = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header, or drop a trailer."""
        self._fields += 1
        if self._fields > FIELDS:
            raise self._stop(TooLarge("The request has too many header lines"), 431)
        if self._stage is _Stage.HEAD:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Judge the head, and give the request to the application."""
        self._stage = _Stage.BODY
        self._stop_timer()
        self._size = 0
        chunked = self._judge_head()
        if self.parser.should_upgrade() and self._should_upgrade():
            return
        super().on_headers_complete()
        self._started = True
        self.cycle.transport = self._answers  # type: ignore[assignment]  # it has what a cycle calls
        # What follows is ambiguous after an upgrade to another protocol, and after a body that the client may hold back.
        ambiguous = self.parser.should_upgrade() or self.expect_100_continue
        if self._surplus or ambiguous or (self._left or 0) > SMALL_BYTES:
            self.cycle.keep_alive = False
        if chunked or self._left:
            self._body_progress = self.loop.time()
            self._body_end = self._body_progress + BODY_TOTAL_SECONDS
            self._expect(min(BODY_SECONDS, BODY_TOTAL_SECONDS), self._body_late)

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body, or discard it after the answer."""
        self._body_progress = self.loop.time()
        if self._left is None:
            self._size -= len(body)
            self._chunks += 1
            if self._chunks > CHUNKS:
                raise self._stop(TooLarge("The body has too many chunks"), 413)
        if self.cycle.response_complete:
            self._unread += len(body)
            if self._unread > SMALL_BYTES:
                self._end()
        super().on_body(body)

    def on_message_complete(self) -> None:
        """End the request."""
        self._stage = _Stage.IDLE
        self._later = True
        self._left = None
        if self._started:
            super().on_message_complete()
            self._stop_timer()
            if self.cycle.response_complete:
                self._rest()

    # Called by the application's side

    def on_response_complete(self) -> None:
        """Go on with what was received meanwhile, or discard the rest of the body."""
        self.server_state.total_requests += 1
        if self._ending or self.transport.is_closing():
            return
        if self._stage is _Stage.IDLE:
            self._rest()
            self._parse()
        if not self._ending:
            self.flow.resume_reading()

    def shutdown(self) -> None:
        """The server stops: close now, or after the answer in hand."""
        if self._outstanding:
            self.cycle.keep_alive = False
        else:
            self._close()

    def evict(self) -> None:
        """Make room for a new connection. Called while this one is idle."""
        self._close()

    # Reading

    @property
    def _outstanding(self) -> bool:
        """A request is in hand whose answer is not complete."""
        cycle = cast("RequestResponseCycle | None", self.cycle)
        return cycle is not None and not cycle.response_complete

    def _parse(self) -> None:
        while self._held and not self._ending and not (self._stage is _Stage.IDLE and self._outstanding):
            if self._stage is not _Stage.IDLE or self._begins():
                self._feed(self._piece())
        if not self._ending:
            self.flow.blocked = bool(self._held)
            if self._held:
                self.flow.pause_reading()

    def _begins(self) -> bool:
        """Begin a head, after the empty lines that may precede it (RFC 9112, section 2.2). They do not count as activity."""
        if self._held[0] in b"\r\n":
            self._held = self._held.lstrip(b"\r\n")
        if not self._held:
            return False
        self._stage = _Stage.HEAD
        self._capacity.busy(self)
        self._size = self._line_size = 0
        self._tail = b""
        if self._later:  # the first head's timer runs since the connection began
            self._expect(HEAD_SECONDS, self._late)
        return True

    def _piece(self) -> bytearray:
        """Take from what is held as much as surely belongs to one request."""
        held = self._held
        if self._left is not None:
            count = min(self._left, len(held))
            self._left -= count
        else:
            across = (self._tail + held[:3]).find(_END)
            found = across - len(self._tail) if across >= 0 else held.find(_END)
            ended = across >= 0 or found >= 0
            count = found + len(_END) if ended else len(held)
            self._tail = b"" if ended else (self._tail + bytes(held[-3:]))[-3:]
            self._size += count
        if count == len(held):
            self._held = bytearray()
            return held
        piece = held[:count]
        del held[:count]
        return piece

    def _feed(self, piece: bytearray) -> None:
        if self._stage is _Stage.HEAD and self._outgrown(piece):
            self._refuse(TooLarge("The request's head is too large"), 431)
            return
        try:
            self.parser.feed_data(piece)
        except httptools.HttpParserUpgrade:
            self._take_upgrade()
        except httptools.HttpParserError:
            self._refuse(*(self._problem or (InvalidArgument("This is not an HTTP request"), 400)))
        else:
            if self._stage is _Stage.BODY and self._size > HEAD_BYTES:
                self._refuse(TooLarge("The framing of the body is too large"), 431)
            elif self._stage is _Stage.BODY and self._left == 0:  # the parser disagrees on the length
                self._refuse(InvalidArgument("This is not an HTTP request"), 400)

    def _outgrown(self, piece: bytearray) -> bool:
        """Whether the head, or one of its lines, is too large."""
        if self._line_size + len(piece) <= LINE_BYTES:  # no line can be too large
            self._line_size = len(piece) - piece.rfind(b"\n") - 1 if b"\n" in piece else self._line_size + len(piece)
            return self._size > HEAD_BYTES
        first, *others = map(len, piece.split(b"\n"))
        lines = [self._line_size + first, *others]
        self._line_size = lines[-1]
        return max(lines) > LINE_BYTES + _SEPARATORS or self._size > HEAD_BYTES

    def _judge_head(self) -> bool:
        """Whether the body is chunked; sets `_left` for another one. Stops the parser if the request cannot be answered."""
        version, path = self.parser.get_http_version(), self.url.partition(b"?")[0]
        fields: dict[bytes, list[bytes]] = {}
        for name, value in self.headers:
            if name in (b"host", b"transfer-encoding", b"content-length"):
                fields.setdefault(name, []).append(value)
        hosts, codings = fields.get(b"host", []), fields.get(b"transfer-encoding", [])
        if version not in ("1.0", "1.1"):
            raise self._stop(InvalidArgument("Only HTTP/1.0 and HTTP/1.1 are spoken"), 400)
        if len(hosts) != 1 and (hosts or version != "1.0"):
            raise self._stop(InvalidArgument("A request has exactly one Host"), 400)
        if codings and (version == "1.0" or [coding.lower() for coding in codings] != [b"chunked"]):
            raise self._stop(InvalidArgument("The only transfer coding is chunked"), 400)
        host = host_name(hosts[0]) if hosts else ""
        if host is None or not (self.url[:1] in (b"/", b"*") or _authority(self.url) in hosts):
            raise self._stop(InvalidArgument("The Host is not valid"), 400)
        if self._surplus and path not in PROBES:
            raise self._stop(_full(), 503)
        if hosts and path not in PROBES and not self._served(host):
            raise self._stop(NotAllowed("This host is not served here"), 421)
        self._left = int(fields[b"content-length"][0]) if b"content-length" in fields and not codings else None
        return bool(codings)

    def _stop(self, error: HubbubError, status: int) -> _Stop:
        self._problem = error, status
        return _Stop()

    def _should_upgrade(self) -> bool:
        return self._get_upgrade() == b"websocket"

    def _take_upgrade(self) -> None:
        if not self._should_upgrade():  # another protocol: answered as an HTTP request, and what follows is discarded
            self._held.clear()
            self._ending = True
        elif (upgrade := self._upgrades.get(self.url.partition(b"?")[0])) is None:
            OPENED.labels("404").inc()
            self._refuse(NotFound(), 404)
        elif self.parser.get_method() != b"GET" or self.parser.get_http_version() != "1.1":
            OPENED.labels("400").inc()
            self._refuse(InvalidArgument("A WebSocket begins with GET and HTTP/1.1"), 400)
        elif _has_body(self.headers):
            OPENED.labels("400").inc()
            self._refuse(InvalidArgument("A WebSocket handshake has no body"), 400)
        else:
            transport, target, headers, rest = self.transport, self.url, self.headers, bytes(self._held)
            self._ending = True
            self._detach()
            self.connections.discard(self)
            self.parser = None  # type: ignore[assignment]  # it refers to this object, which must be freed
            transport.pause_reading()
            upgrade(transport, target, headers, rest)

    # Ending

    def _rest(self) -> None:
        """Wait for another request."""
        self._expect(IDLE_SECONDS, self._late)
        if not self._ending:
            self._capacity.idle(self)

    def _expect(self, seconds: float, late: Callable[[], None]) -> None:
        """Begin a phase of at most so many seconds."""
        self._stop_timer()
        self._deadline = self.loop.call_later(seconds, late)

    def _stop_timer(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _late(self) -> None:
        if self._surplus:
            self._refuse(_full(), 503)
        elif self._stage is _Stage.HEAD:
            self._refuse(InvalidArgument("The request's head took too long"), 408)
        else:
            self._close()

    def _body_late(self) -> None:
        now = self.loop.time()
        if self.flow.read_paused:  # the application has not taken what is there
            self._body_progress = now
        due = min(self._body_progress + BODY_SECONDS, self._body_end)
        if now < due:
            self._expect(due - now, self._body_late)
        else:
            self._refuse(InvalidArgument("The body took too long"), 400)

    def _watch_writing(self) -> None:
        """Abort the connection once nothing has been written for a while."""
        if self._write_deadline is None:
            size = self.transport.get_write_buffer_size()
            self._write_deadline = self.loop.call_later(WRITE_SECONDS, self._check_writing, size)

    def _check_writing(self, before: int) -> None:
        self._write_deadline = None
        if self.transport.get_write_buffer_size() >= before:
            self.transport.abort()
        else:
            self._watch_writing()

    def _refuse(self, error: HubbubError, status: int) -> None:
        """Answer with an error, unless an answer has begun, cancel the request in hand, and end."""
        REFUSED.labels(str(status)).inc()
        answered = self._started and self._stage is _Stage.BODY and self.cycle.response_started
        if self._outstanding:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        if not answered and not self.transport.is_closing():
            self.transport.write(problems.raw(error, status))
        self._end()

    def _close_answered(self) -> None:
        """The application has written its last answer."""
        if self._stage is _Stage.IDLE and not self._held:
            self._close()
        else:
            self._end()

    def _close(self) -> None:
        """Close once everything is written."""
        self._capacity.busy(self)
        self._ending = self._answers.ended = True
        self._stop_timer()
        if not self.transport.is_closing():
            self.transport.close()
            self._watch_writing()

    def _end(self) -> None:
        """Let the client finish sending before the connection closes: a reset could overtake what was written."""
        if self._answers.ended:
            return
        self._ending = self._answers.ended = True
        self._held.clear()
        self._stop_timer()
        transport = self.transport
        if transport.is_closing():
            return
        if transport.can_write_eof():
            transport.write_eof()
        self.flow.blocked = False
        self.flow.resume_reading()
        self._watch_writing()
        self._deadline = self.loop.call_later(LINGER_SECONDS, self._stop_lingering)

    def _stop_lingering(self) -> None:
        self._deadline = None
        if not self.transport.get_write_buffer_size():
            self.transport.abort()
        else:  # a slow reader: `_watch_writing` ends the connection if it reads nothing
            self._deadline = self.loop.call_later(LINGER_SECONDS, self._stop_lingering)

    def _detach(self) -> None:
        """Free what refers to this object."""
        self._stop_timer()
        if self._write_deadline is not None:
            self._write_deadline.cancel()
            self._write_deadline = None
        self._capacity.busy(self)
        self._answers.ended = True
        self._answers.on_close = None
        self._held = bytearray()


def _authority(target: bytes) -> bytes:
    """The authority of a target in absolute form, which must be that of `Host` (RFC 9112, section 3.2)."""
    return target.partition(b"://")[2].partition(b"/")[0].partition(b"?")[0]


def _has_body(headers: list[tuple[bytes, bytes]]) -> bool:
    return any(name == b"transfer-encoding" or (name == b"content-length" and value.strip(b"0")) for name, value in headers)


def _full() -> Unavailable:
    return Unavailable("The gateway has no room for another connection", retry_after=FULL_RETRY_SECONDS)

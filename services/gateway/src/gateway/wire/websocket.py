"""Receives from WebSocket clients: whole messages, control frames, and violations of RFC 6455 or of docs/protocol.md.

picows parses frames (opcodes, masks, lengths, control frames, close codes). This module adds fragments, reserved bits, UTF-8, the
bound on a whole message, and a budget of bytes and frames for each turn of the event loop: beyond it a client waits for the next
turn, so a flood delays only the client that sends it. `commands.dispatch` handles the messages.
"""

from __future__ import annotations

import asyncio
import codecs
from collections.abc import Callable
from typing import Any, ClassVar, cast

from picows import WSFrame, WSListener, WSMsgType, WSTransport
from picows.picows import WSProtocol  # type: ignore[attr-defined]  # not among its public names

from gateway.model import Connection, Framed
from gateway.protocol.close_codes import Close, allowed_from_client
from gateway.protocol.incoming import FRAME_BYTES
from gateway.rates.bucket import Bucket
from gateway.wire.framing import close_frame, pong
from gateway.wire.registry import Registry

CONTROL_COST = 0.2
"""Tokens for a ping, a pong, or an empty fragment."""
FRAGMENT_COST = 0.05
"""Tokens for any other fragment, besides those for the message."""
FRAGMENTS = 1_024
"""Fragments of one message: a message of the largest size may come in pieces of 64 bytes."""
READ_BYTES = 2_048
"""Bytes read and parsed at one time: at most 341 frames."""
TURN_BYTES, TURN_FRAMES = 64 * 1024, 256
"""Bytes and frames of one connection in one turn of the event loop, give or take one read."""
_decoder = codecs.getincrementaldecoder("utf-8")
Receive = Callable[[Connection, bytes], None]


class WebSocketListener(WSListener):
    """Receives the messages of one WebSocket. A subclass says to whom it belongs: `ConnectionListener`, for /v1/connect."""

    __slots__ = ("_decoder", "_fragments", "_pieces", "_text", "frames")
    max_bytes: ClassVar[int] = FRAME_BYTES
    """Of a message."""
    takes_binary: ClassVar[bool] = False
    """Whether binary messages are taken."""

    def __init__(self) -> None:
        self._fragments: bytearray | None = None
        """The fragments of an unfinished message; None between messages."""
        self._decoder: codecs.IncrementalDecoder | None = None
        """Decodes fragments of text as they come, so that invalid UTF-8 fails at once."""
        self._text = True
        """The unfinished message is text."""
        self._pieces = 0
        """Number of fragments of the unfinished message."""
        self.frames = 0
        """Frames in this turn of the event loop."""

    # What a subclass provides.

    @property
    def closing(self) -> Close | None:
        """Why the socket ends; None while it is open."""
        raise NotImplementedError

    @property
    def bucket(self) -> Bucket:
        """The rate limit of its client."""
        raise NotImplementedError

    @property
    def transport(self) -> asyncio.Transport | None:
        """Where bytes go."""
        raise NotImplementedError

    def take_text(self, payload: bytes) -> None:
        """Handle a text message, which is valid UTF-8."""
        raise NotImplementedError

    def take_binary(self, payload: bytes) -> None:
        """Handle a binary message."""
        raise NotImplementedError

    def answer(self, payload: Framed) -> None:
        """Write an optional control frame."""
        raise NotImplementedError

    def close(self, reason: Close) -> None:
        """End the socket with a close frame, unless it has ended."""
        raise NotImplementedError

    def closed_by_client(self, code: int, answer: bytes) -> None:
        """The client closes, with `code` or without one (0): write `answer` last."""
        raise NotImplementedError

    def broken(self, reason: Close) -> None:
        """Picows writes a close frame next: write nothing after it."""
        raise NotImplementedError

    def gone(self) -> None:
        """The transport is closed."""
        raise NotImplementedError

    # Called by picows.

    @property
    def flooded(self) -> bool:
        """Whether the socket has ended because its client floods."""
        return self.closing is Close.FLOODING

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Handle one frame."""
        self.frames += 1
        kind = frame.msg_type
        if self.closing is not None:
            if kind == WSMsgType.CLOSE:
                transport.underlying_transport.close()
            return
        reserved = frame.rsv1 or frame.rsv2 or frame.rsv3
        whole = frame.fin and self._fragments is None
        if kind == WSMsgType.CLOSE:
            self._take_close(transport, frame, reserved=reserved)
        elif reserved:
            self.close(Close.PROTOCOL_ERROR)
        elif kind == WSMsgType.TEXT and whole:
            self._take(frame.get_payload_as_bytes())
        elif kind == WSMsgType.BINARY and not self.takes_binary:
            self.close(Close.NOT_TEXT)
        elif kind == WSMsgType.BINARY and whole:
            self.take_binary(frame.get_payload_as_bytes())
        elif kind in (WSMsgType.TEXT, WSMsgType.BINARY, WSMsgType.CONTINUATION):
            self._take_fragment(frame)
        elif self._tolerated(CONTROL_COST) and kind == WSMsgType.PING:
            self.answer(pong(frame.get_payload_as_bytes()))

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """The transport is closed."""
        del transport
        self.gone()

    def on_ws_refused(self, code: int) -> None:
        """Picows rejects a frame, and writes a close frame with this code next.

        It must not write one if there has been another: ours, which picows does not know of, or the answer to the client's, which
        picows has read already (it reads one frame ahead of what it hands over).
        """
        closed, protocol = self.closing is not None, cast("Any", self.transport).get_protocol()
        answer = None if closed else _answer_to_close(protocol.transport)
        if answer is None:
            self.broken(Close.of(code))
        else:
            self.closed_by_client(answer, close_frame(answer))
        if closed or answer is not None:
            protocol.connection_lost(None)  # so that picows writes nothing

    def _take_close(self, transport: WSTransport, frame: WSFrame, *, reserved: bool) -> None:
        payload = frame.get_payload_as_bytes()
        code = int.from_bytes(payload[:2], "big")
        if reserved or (payload and not allowed_from_client(code)):
            self.close(Close.PROTOCOL_ERROR)
            transport.underlying_transport.close()  # the client's half of the handshake is done
        else:
            self.closed_by_client(code, close_frame(code))

    def _take(self, payload: bytes) -> None:
        if not payload.isascii():
            try:
                payload.decode()
            except UnicodeDecodeError:
                self.close(Close.NOT_UTF8)
                return
        self.take_text(payload)

    def _take_fragment(self, frame: WSFrame) -> None:
        begins = frame.msg_type != WSMsgType.CONTINUATION
        if begins is not (self._fragments is None):  # a continuation without a beginning, or a message within a message
            self.close(Close.PROTOCOL_ERROR)
            return
        if self._fragments is None:
            self._text = frame.msg_type == WSMsgType.TEXT
            self._fragments, self._pieces = bytearray(), 0
            self._decoder = _decoder() if self._text else None
        piece, whole = frame.get_payload_as_bytes(), self._fragments
        whole += piece
        try:
            if self._decoder is not None:
                self._decoder.decode(piece, final=frame.fin)
        except UnicodeDecodeError:
            self.close(Close.NOT_UTF8)
            return
        self._pieces += 1
        if len(whole) > self.max_bytes or self._pieces > FRAGMENTS:
            self.close(Close.FRAME_TOO_LARGE)
        elif self._tolerated(FRAGMENT_COST if piece else CONTROL_COST) and frame.fin:
            self._fragments = self._decoder = None
            if self._text:
                self.take_text(bytes(whole))
            else:
                self.take_binary(bytes(whole))

    def _tolerated(self, cost: float) -> bool:
        """Whether the client may send another control frame or fragment; closes the socket of a client that floods."""
        bucket = self.bucket
        bucket.take(cost)
        if bucket.flooding:
            self.close(Close.FLOODING)
        return not bucket.flooding


class ConnectionListener(WebSocketListener):
    """Receives from one connection of /v1/connect."""

    __slots__ = ("_connection", "_receive", "_registry")

    def __init__(self, connection: Connection, registry: Registry, receive: Receive) -> None:
        super().__init__()
        self._connection = connection
        self._registry = registry
        self._receive = receive

    @property
    def closing(self) -> Close | None:
        """Why the connection ends; None while it is open."""
        return self._connection.closing

    @property
    def bucket(self) -> Bucket:
        """The rate limit of the connection."""
        return self._connection.bucket

    @property
    def transport(self) -> asyncio.Transport | None:
        """The connection's transport."""
        return self._connection.transport

    def take_text(self, payload: bytes) -> None:
        """Handle a frame of docs/protocol.md."""
        self._connection.last_frame = self._registry.sweep.now
        self._receive(self._connection, payload)

    def answer(self, payload: Framed) -> None:
        """Queue an optional control frame."""
        self._registry.writer.answer(self._connection, payload)

    def close(self, reason: Close) -> None:
        """End the connection."""
        self._registry.close(self._connection, reason)

    def closed_by_client(self, code: int, answer: bytes) -> None:
        """End the connection, because its client closes."""
        self._registry.closed_by_client(self._connection, code, answer)

    def broken(self, reason: Close) -> None:
        """End the connection, because picows does."""
        self._registry.broken(self._connection, reason)

    def gone(self) -> None:
        """Forget the connection."""
        self._registry.gone(self._connection)

    def pause_writing(self) -> None:
        """The client reads more slowly than the gateway writes."""
        self._connection.pause()

    def resume_writing(self) -> None:
        """The client has read everything."""
        self._connection.resume()


class BudgetedProtocol(WSProtocol):  # type: ignore[misc]  # ships no types for it
    """The parser of one connection, which parses at most `TURN_BYTES` and `TURN_FRAMES` in one turn of the event loop."""

    __slots__ = ("_size",)

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._size = 0
        """Bytes parsed in this turn."""

    def get_buffer(self, hint: int) -> memoryview:
        """Offer room for one read."""
        room: memoryview = super().get_buffer(hint)
        return room[:READ_BYTES]

    def buffer_updated(self, count: int) -> None:
        """Parse what was read. A full read leaves more to be read, in this turn or in the next one."""
        super().buffer_updated(count)
        self._size += count
        listener = self.listener
        if count < READ_BYTES:
            self._size = listener.frames = 0
        elif listener.flooded:
            self.transport.underlying_transport.pause_reading()  # until `Registry` aborts it
        elif self._size >= TURN_BYTES or listener.frames >= TURN_FRAMES:
            self._size = listener.frames = 0
            transport = self.transport.underlying_transport
            transport.pause_reading()
            asyncio.get_running_loop().call_soon(transport.resume_reading)

    def begin(self, data: memoryview) -> None:
        """Parse what came with the handshake, one read in each turn, and then start reading."""
        transport = self.transport.underlying_transport
        if transport.is_closing():
            return
        if not data:
            transport.resume_reading()
            return
        feed(self, data[:READ_BYTES])
        asyncio.get_running_loop().call_soon(self.begin, data[READ_BYTES:])


def feed(protocol: BudgetedProtocol, data: memoryview) -> None:
    """Give bytes to a protocol as its transport would."""
    while data:
        room = protocol.get_buffer(len(data))
        count = min(len(room), len(data))
        room[:count] = data[:count]
        protocol.buffer_updated(count)
        data = data[count:]


def _answer_to_close(transport: WSTransport) -> int | None:
    """The code of the close frame that picows has read, 0 if it has none. None without a valid close frame."""
    # The stub is wrong: the handshake may be None, and its codes are numbers.
    handshake = cast("Any", transport.close_handshake)
    if handshake is None or handshake.recv is None:
        return None
    code: int = handshake.recv.code
    return code if not code or allowed_from_client(code) else None

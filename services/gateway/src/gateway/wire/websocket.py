"""Receives from one WebSocket client: whole messages, control frames, and violations of RFC 6455 or of docs/protocol.md.

picows parses frames (opcodes, masks, lengths, control frames, close codes). This module adds fragments, reserved bits, UTF-8, and
the bound on a whole message. `commands.dispatch` handles the messages.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable
from typing import Any, cast

from picows import WSFrame, WSListener, WSMsgType, WSTransport

from gateway.model import Connection
from gateway.protocol.close_codes import Close, allowed_from_client
from gateway.protocol.incoming import FRAME_BYTES
from gateway.wire.framing import close_frame, pong
from gateway.wire.registry import Registry

CONTROL_COST = 0.2
"""Tokens for a ping, a pong, or an empty fragment."""
_decoder = codecs.getincrementaldecoder("utf-8")
Receive = Callable[[Connection, bytes], None]


class WebSocketListener(WSListener):
    """Receives from one connection."""

    __slots__ = ("_connection", "_decoder", "_fragments", "_receive", "_registry")

    def __init__(self, connection: Connection, registry: Registry, receive: Receive) -> None:
        self._connection = connection
        self._registry = registry
        self._receive = receive
        self._fragments: bytearray | None = None
        """The fragments of an unfinished message; None between messages."""
        self._decoder: codecs.IncrementalDecoder | None = None
        """Decodes fragments as they come, so that invalid UTF-8 fails at once."""

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Handle one frame."""
        connection = self._connection
        kind = frame.msg_type
        if connection.closing is not None:
            if kind == WSMsgType.CLOSE:
                transport.underlying_transport.close()
            return
        reserved = frame.rsv1 or frame.rsv2 or frame.rsv3
        if kind == WSMsgType.CLOSE:
            self._take_close(transport, frame, reserved=reserved)
        elif reserved:
            self._registry.close(connection, Close.PROTOCOL_ERROR)
        elif kind == WSMsgType.TEXT and frame.fin and self._fragments is None:
            self._take(frame.get_payload_as_bytes())
        elif kind in (WSMsgType.TEXT, WSMsgType.CONTINUATION):
            self._take_fragment(frame)
        elif kind == WSMsgType.BINARY:
            self._registry.close(connection, Close.NOT_TEXT)
        elif self._tolerated() and kind == WSMsgType.PING:
            self._registry.writer.answer(connection, pong(frame.get_payload_as_bytes()))

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """The transport is closed."""
        del transport
        self._registry.gone(self._connection)

    def on_ws_refused(self, code: int) -> None:
        """Picows rejects a frame, and writes a close frame with this code next.

        It must not write one if there has been another: ours, which picows does not know of, or the answer to the client's, which
        picows has read already (it reads one frame ahead of what it hands over).
        """
        connection = self._connection
        closed, protocol = connection.closing is not None, cast("Any", connection.transport).get_protocol()
        answer = None if closed else _answer_to_close(protocol.transport)
        if answer is None:
            self._registry.broken(connection, Close.of(code))
        else:
            self._registry.closed_by_client(connection, answer, close_frame(answer))
        if closed or answer is not None:
            protocol.connection_lost(None)  # so that picows writes nothing

    def pause_writing(self) -> None:
        """The client reads more slowly than the gateway writes."""
        self._connection.paused = True

    def resume_writing(self) -> None:
        """The client has read everything."""
        connection = self._connection
        connection.paused = False
        if connection.resumed is not None:
            if not connection.resumed.done():
                connection.resumed.set_result(None)
            connection.resumed = None

    def _take_close(self, transport: WSTransport, frame: WSFrame, *, reserved: bool) -> None:
        payload = frame.get_payload_as_bytes()
        code = int.from_bytes(payload[:2], "big")
        if reserved or (payload and not allowed_from_client(code)):
            self._registry.close(self._connection, Close.PROTOCOL_ERROR)
            transport.underlying_transport.close()  # the client's half of the handshake is done
        else:
            self._registry.closed_by_client(self._connection, code, close_frame(code))

    def _take(self, payload: bytes) -> None:
        connection = self._connection
        if not payload.isascii():
            try:
                payload.decode()
            except UnicodeDecodeError:
                self._registry.close(connection, Close.NOT_UTF8)
                return
        connection.last_frame = self._registry.sweep.now
        self._receive(connection, payload)

    def _take_fragment(self, frame: WSFrame) -> None:
        begins = frame.msg_type == WSMsgType.TEXT
        if begins is not (self._fragments is None):  # a continuation without a beginning, or a message within a message
            self._registry.close(self._connection, Close.PROTOCOL_ERROR)
            return
        if self._fragments is None or self._decoder is None:
            self._fragments, self._decoder = bytearray(), _decoder()
        piece, whole, decoder = frame.get_payload_as_bytes(), self._fragments, self._decoder
        whole += piece
        try:
            decoder.decode(piece, final=frame.fin)
        except UnicodeDecodeError:
            self._registry.close(self._connection, Close.NOT_UTF8)
            return
        if len(whole) > FRAME_BYTES:
            self._registry.close(self._connection, Close.FRAME_TOO_LARGE)
        elif frame.fin:
            self._fragments = self._decoder = None
            self._take(bytes(whole))
        elif not piece:
            self._tolerated()

    def _tolerated(self) -> bool:
        """Whether the client may send another control frame or empty fragment; closes the connection of a client that floods."""
        bucket = self._connection.bucket
        bucket.take(CONTROL_COST)
        if bucket.flooding:
            self._registry.close(self._connection, Close.FLOODING)
        return not bucket.flooding


def _answer_to_close(transport: WSTransport) -> int | None:
    """The code of the close frame that picows has read, 0 if it has none. None without a valid close frame."""
    # The stub is wrong: the handshake may be None, and its codes are numbers.
    handshake = cast("Any", transport.close_handshake)
    if handshake is None or handshake.recv is None:
        return None
    code: int = handshake.recv.code
    return code if not code or allowed_from_client(code) else None

"""One socket's WebSocket side: whole messages, control frames, and closing for what RFC 6455 or the protocol forbid.

picows parses frames (opcodes, masks, lengths, control frames' rules, close codes); this adds what it leaves to its user:
fragments, reserved bits, UTF-8, the bound on a whole message. What a message means is `dispatch`'s.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable
from typing import Any, cast

from picows import WSFrame, WSListener, WSMsgType, WSTransport

from gateway.connection import Connection
from gateway.inbound.reading import FRAME_BYTES
from gateway.outbound.wire import pong_frame
from gateway.roster import Roster

PROTOCOL_ERROR = 1002
UNSUPPORTED_DATA = 1003
INVALID_TEXT = 1007
TOO_BIG = 1009
INTERNAL_ERROR = 1011
FLOODING = 4004
CLOSE_CODES = (range(1000, 1004), range(1007, 1015), range(3000, 5000))
"""Codes that a peer may send (RFC 6455, section 7.4, and what was registered since)."""
CONTROL_COST = 0.2
"""Tokens of a ping, a pong, or a fragment of nothing."""
_decoder = codecs.getincrementaldecoder("utf-8")
Receive = Callable[[Connection, bytes], None]


class Socket(WSListener):
    """Listens to one connection."""

    __slots__ = ("_connection", "_decoder", "_fragments", "_receive", "_roster")

    def __init__(self, connection: Connection, roster: Roster, receive: Receive) -> None:
        self._connection = connection
        self._roster = roster
        self._receive = receive
        self._fragments: bytearray | None = None
        """What has come of a message that is not whole yet."""
        self._decoder: codecs.IncrementalDecoder | None = None
        """Reads it as it comes, so that what is no UTF-8 fails at once."""

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Take one frame."""
        connection = self._connection
        kind = frame.msg_type
        if connection.closing:
            if kind == WSMsgType.CLOSE:
                transport.underlying_transport.close()
            return
        reserved = frame.rsv1 or frame.rsv2 or frame.rsv3
        if kind == WSMsgType.CLOSE:
            self._take_close(transport, frame, reserved=reserved)
        elif reserved:
            self._roster.close(connection, PROTOCOL_ERROR)
        elif kind == WSMsgType.TEXT and frame.fin and self._fragments is None:
            self._take(frame.get_payload_as_bytes())
        elif kind in (WSMsgType.TEXT, WSMsgType.CONTINUATION):
            self._take_fragment(frame)
        elif kind == WSMsgType.BINARY:
            self._roster.close(connection, UNSUPPORTED_DATA)
        elif self._tolerated() and kind == WSMsgType.PING:
            self._roster.outbox.answer(connection, pong_frame(frame.get_payload_as_bytes()))

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """Note that the peer is gone."""
        del transport
        self._roster.gone(self._connection)

    def on_ws_refused(self, code: int) -> None:
        """Note that picows refuses what has come, and will write a close frame with this code next.

        Unless there is another: one of ours that picows does not know of, or one of the peer's, which picows has read (it reads a
        frame ahead of what it hands over) and whose answer is the last word.
        """
        connection = self._connection
        closed, protocol = connection.closing, cast("Any", connection.transport).get_protocol()
        answer = None if closed else _answer_to_close(protocol.transport)
        if answer is None:
            self._roster.broken(connection, code)
        else:
            self._roster.left(connection, answer)
        if closed or answer is not None:
            protocol.connection_lost(None)  # as far as picows knows: so it writes nothing

    def pause_writing(self) -> None:
        """Note that the peer reads more slowly than it is sent to."""
        self._connection.paused = True

    def resume_writing(self) -> None:
        """Note that it has read."""
        connection = self._connection
        connection.paused = False
        if connection.resumed is not None:
            if not connection.resumed.done():
                connection.resumed.set_result(None)
            connection.resumed = None

    def _take_close(self, transport: WSTransport, frame: WSFrame, *, reserved: bool) -> None:
        payload = frame.get_payload_as_bytes()
        code = int.from_bytes(payload[:2], "big")
        if reserved or (payload and not any(code in codes for codes in CLOSE_CODES)):
            self._roster.close(self._connection, PROTOCOL_ERROR)
            transport.underlying_transport.close()  # the peer's half has been: there is nothing to wait for
        else:
            self._roster.left(self._connection, code)

    def _take(self, payload: bytes) -> None:
        connection = self._connection
        if not payload.isascii():
            try:
                payload.decode()
            except UnicodeDecodeError:
                self._roster.close(connection, INVALID_TEXT)
                return
        connection.heard = self._roster.sweep.now
        self._receive(connection, payload)

    def _take_fragment(self, frame: WSFrame) -> None:
        begins = frame.msg_type == WSMsgType.TEXT
        if begins is not (self._fragments is None):  # a continuation of nothing, or a message within a message
            self._roster.close(self._connection, PROTOCOL_ERROR)
            return
        if self._fragments is None or self._decoder is None:
            self._fragments, self._decoder = bytearray(), _decoder()
        piece, whole, decoder = frame.get_payload_as_bytes(), self._fragments, self._decoder
        whole += piece
        try:
            decoder.decode(piece, final=frame.fin)
        except UnicodeDecodeError:
            self._roster.close(self._connection, INVALID_TEXT)
            return
        if len(whole) > FRAME_BYTES:
            self._roster.close(self._connection, TOO_BIG)
        elif frame.fin:
            self._fragments = self._decoder = None
            self._take(bytes(whole))
        elif not piece:
            self._tolerated()

    def _tolerated(self) -> bool:
        """Whether the peer may send what costs it nothing; closes the socket of one that goes on and on."""
        bucket = self._connection.bucket
        bucket.take(CONTROL_COST)
        if bucket.flooding:
            self._roster.close(self._connection, FLOODING)
        return not bucket.flooding


def _answer_to_close(transport: WSTransport) -> int | None:
    """The code that answers the close which picows has read, 0 for one without; None where there is none, or no fit one."""
    # Whatever the stub says, it may be None, and its codes are numbers.
    handshake = cast("Any", transport.close_handshake)
    if handshake is None or handshake.recv is None:
        return None
    code: int = handshake.recv.code
    return code if not code or any(code in codes for codes in CLOSE_CODES) else None

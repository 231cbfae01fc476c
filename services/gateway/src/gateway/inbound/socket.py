"""One socket's WebSocket side: whole messages, control frames, and closing for what RFC 6455 or the protocol forbid.

picows parses frames (opcodes, masks, lengths, control frames' rules, close codes); this adds what it leaves to its user:
fragments, reserved bits, UTF-8, the bound on a whole message. What a message means is `dispatch`'s.
"""

from __future__ import annotations

from collections.abc import Callable

from picows import WSFrame, WSListener, WSMsgType, WSTransport

from gateway.connection import Connection
from gateway.inbound.frames import FRAME_BYTES
from gateway.outbound.wire import close_frame, pong_frame
from gateway.roster import Roster

PROTOCOL_ERROR = 1002
UNSUPPORTED_DATA = 1003
INVALID_TEXT = 1007
TOO_BIG = 1009
Receive = Callable[[Connection, bytes], None]


class Socket(WSListener):
    """Listens to one connection."""

    __slots__ = ("_connection", "_fragments", "_receive", "_roster")

    def __init__(self, connection: Connection, roster: Roster, receive: Receive) -> None:
        self._connection = connection
        self._roster = roster
        self._receive = receive
        self._fragments: bytearray | None = None
        """What has come of a message that is not whole yet."""

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """Take one frame."""
        connection = self._connection
        kind = frame.msg_type
        if connection.closing:
            if kind == WSMsgType.CLOSE:
                transport.underlying_transport.close()
            return
        if frame.rsv1 or frame.rsv2 or frame.rsv3:
            self._roster.close(connection, PROTOCOL_ERROR)
        elif kind == WSMsgType.TEXT and frame.fin and self._fragments is None:
            self._take(frame.get_payload_as_bytes())
        elif kind in (WSMsgType.TEXT, WSMsgType.CONTINUATION):
            self._take_fragment(frame)
        elif kind == WSMsgType.BINARY:
            self._roster.close(connection, UNSUPPORTED_DATA)
        elif kind == WSMsgType.PING:
            if not connection.paused:  # who does not read gets no pongs piled up
                self._roster.outbox.send(connection, pong_frame(frame.get_payload_as_bytes()))
        elif kind == WSMsgType.CLOSE:
            code = int.from_bytes(frame.get_payload_as_bytes()[:2], "big")
            transport.underlying_transport.write(close_frame(code))
            transport.underlying_transport.close()
            self._roster.gone(connection, code or 1000)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """Note that the peer is gone."""
        sent = getattr(transport.close_handshake, "sent", None)  # there when picows itself has refused a frame
        self._roster.gone(self._connection, sent.code if sent else 0)

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
        whole = self._fragments = bytearray() if self._fragments is None else self._fragments
        whole += frame.get_payload_as_bytes()
        if len(whole) > FRAME_BYTES:
            self._roster.close(self._connection, TOO_BIG)
        elif frame.fin:
            self._fragments = None
            self._take(bytes(whole))

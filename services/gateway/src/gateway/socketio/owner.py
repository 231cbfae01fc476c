"""Decodes the Socket.IO packets of a session, and ends one that sends no packets, none in time, or attachments without end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from gateway.protocol.close_codes import Close
from gateway.socketio import engine_packets, socket_packets
from gateway.socketio.engine_packets import MalformedPacketError
from gateway.socketio.session import Owner, Session
from gateway.socketio.socket_packets import Decoder, Packet, Type
from gateway.wire.framing import binary_frame, text_frame

ATTACHMENTS_SECONDS = 5.0
"""For the attachments that a packet announces."""
INVALID_NAMESPACE = b'{"message":"Invalid namespace"}'


class PacketOwner(Owner):
    """The owner of a session with Socket.IO packets. A subclass handles them."""

    __slots__ = ("_attachments_deadline", "_connect_deadline", "_connect_seconds", "_decoder")

    def __init__(self, max_payload: int, connect_seconds: float) -> None:
        self._decoder = Decoder(max_payload)
        self._connect_seconds = connect_seconds
        """From the session's beginning to its first connection to a namespace."""
        self._connect_deadline: asyncio.TimerHandle | None = None
        self._attachments_deadline: asyncio.TimerHandle | None = None

    def packet(self, session: Session, packet: Packet) -> None:
        """Handle a packet."""
        raise NotImplementedError

    def began(self, session: Session) -> None:
        """Wait for a connection to a namespace."""
        self._connect_deadline = _later(self._connect_seconds, self._not_connected, session)

    def ended(self, session: Session) -> None:
        """Stop waiting."""
        del session
        self.stop_waiting()
        self._stop_attachments_deadline()

    def stop_waiting(self) -> None:
        """The session has connected to a namespace."""
        if self._connect_deadline is not None:
            self._connect_deadline.cancel()
            self._connect_deadline = None

    @property
    def connecting(self) -> bool:
        """Whether the session has not connected to a namespace yet."""
        return self._connect_deadline is not None

    def message(self, session: Session, data: bytes, *, binary: bool) -> None:
        """Decode a message."""
        try:
            packet = self._decoder.binary(data) if binary else self._decoder.text(data)
        except MalformedPacketError:
            session.close(Close.MALFORMED_FRAME)
            return
        if packet is None:
            if self._attachments_deadline is None:
                self._attachments_deadline = _later(ATTACHMENTS_SECONDS, session.close, Close.MALFORMED_FRAME)
            return
        self._stop_attachments_deadline()
        if self.connecting and packet.type is not Type.CONNECT:
            session.close(Close.MALFORMED_FRAME)
        else:
            self.packet(session, packet)

    def _not_connected(self, session: Session) -> None:
        session.close(Close.NO_HEARTBEAT)

    def _stop_attachments_deadline(self) -> None:
        if self._attachments_deadline is not None:
            self._attachments_deadline.cancel()
            self._attachments_deadline = None


def frames(packet: Packet) -> bytes:
    """A packet with its attachments, framed."""
    text = engine_packets.Packet(engine_packets.Type.MESSAGE, socket_packets.encode(packet))
    return text_frame(engine_packets.encode_text(text)) + b"".join(map(binary_frame, packet.attachments))


def _later(seconds: float, call: Callable[..., None], *arguments: object) -> asyncio.TimerHandle:
    return asyncio.get_running_loop().call_later(seconds, call, *arguments)

"""A WebSocket of an Engine.IO session: the session's transport, or a probe that may become it."""

from __future__ import annotations

import asyncio

from gateway.model import Framed
from gateway.protocol.close_codes import Close
from gateway.rates.bucket import Bucket
from gateway.socketio import engine_packets
from gateway.socketio.engine_packets import Packet, Type
from gateway.socketio.session import CLOSING_SECONDS, Session
from gateway.wire.framing import close_frame, text_frame
from gateway.wire.websocket import WebSocketListener

PROBE_SECONDS = 10.0
"""From the handshake of a probe to the end of the upgrade."""
_PROBE = b"probe"
_PROBED = text_frame(engine_packets.encode_text(Packet(Type.PONG, _PROBE)))
_ASKS = Packet(Type.PING, _PROBE)


class EngineListener(WebSocketListener):
    """Receives from one WebSocket of a session."""

    __slots__ = ("_deadline", "_dismissed", "_session", "_transport", "answered")
    takes_binary = True

    def __init__(self, session: Session, transport: asyncio.Transport) -> None:
        super().__init__()
        self._session = session
        self._transport = transport
        self._dismissed = False
        """The session does not use it, and its close frame was written."""
        self.answered = False
        """The probe was answered."""
        self._deadline: asyncio.TimerHandle | None = None
        """Ends a probe that does not upgrade."""

    def probe(self) -> None:
        """Offer it to its session, which has another transport."""
        if self._session.probed(self):
            self._deadline = asyncio.get_running_loop().call_later(PROBE_SECONDS, self._fail)
        else:
            self.dismiss()

    def dismiss(self) -> None:
        """End a WebSocket that its session does not use."""
        self._stop_timer()
        if not self._dismissed:
            self._dismissed = True
            self._transport.write(close_frame(Close.BY_CLIENT.code))
            asyncio.get_running_loop().call_later(CLOSING_SECONDS, self._transport.abort)

    @property
    def closing(self) -> Close | None:
        """Why it ends; None while it is open."""
        if self._dismissed:
            return Close.BY_CLIENT
        return self._session.closing if self._in_use else None

    @property
    def bucket(self) -> Bucket:
        """The rate limit of the session."""
        return self._session.bucket

    @property
    def transport(self) -> asyncio.Transport:
        """Its transport."""
        return self._transport

    @property
    def _in_use(self) -> bool:
        return self._session.transport is self._transport

    def take_text(self, payload: bytes) -> None:
        """Handle a packet."""
        if self._in_use:
            self._session.receive_text(payload)
        elif payload == engine_packets.encode_text(_ASKS) and not self.answered:
            self.answered = True
            self._transport.write(_PROBED)
            self._session.probe_answered()
        elif payload == Type.UPGRADE.value and self.answered:
            self._stop_timer()
            self._session.upgrade(self)
        else:
            self._fail()

    def take_binary(self, payload: bytes) -> None:
        """Handle a binary message."""
        if self._in_use:
            self._session.receive(Packet(Type.MESSAGE, payload, binary=True))
        else:
            self._fail()

    def answer(self, payload: Framed) -> None:
        """Write an optional control frame, unless the client does not read."""
        if not self._transport.get_write_buffer_size():
            self._write(payload)

    def close(self, reason: Close) -> None:
        """End the session, or the probe."""
        if self._in_use:
            self._session.close(reason)
        else:
            self._fail()

    def closed_by_client(self, code: int, answer: bytes) -> None:
        """End the session, or the probe, because the client closes."""
        if self._in_use:
            self._session.owner.closed_by_client(self._session, code, answer)
            return
        self._forget_probe()
        self._dismissed = True
        self._transport.write(answer)
        self._transport.close()

    def broken(self, reason: Close) -> None:
        """End the session, or the probe, because picows does."""
        if self._in_use:
            if self._session.closing is None:
                self._session.owner.broken(self._session, reason)
            else:
                self._transport.close()
            return
        self._forget_probe()
        self._dismissed = True

    def gone(self) -> None:
        """The transport is closed."""
        self._dismissed = True
        if self._in_use:
            self._session.gone()
        else:
            self._forget_probe()

    def pause_writing(self) -> None:
        """The client reads more slowly than the gateway writes."""
        if self._in_use:
            self._session.owner.paused(self._session)

    def resume_writing(self) -> None:
        """The client has read everything."""
        if self._in_use:
            self._session.owner.resumed(self._session)

    def _write(self, frames: bytes) -> None:
        if self._in_use:
            self._session.owner.write(self._session, frames)
        else:
            self._transport.write(frames)

    def _fail(self) -> None:
        """The probe did not become the session's transport."""
        self._forget_probe()
        self.dismiss()

    def _forget_probe(self) -> None:
        self._stop_timer()
        if self._session.probe is self:
            self._session.probe_failed()

    def _stop_timer(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

"""One Engine.IO session, from its `open` packet to its end, on whichever transport it uses.

A session begins on HTTP long-polling (`socketio.polling`) or on a WebSocket, and may upgrade once, from the first to the second.
It keeps the heartbeat, follows the upgrade and bounds what its client sends. Bytes for the client are WebSocket frames on either
transport. Its `Owner` handles the messages, and decides how the session ends.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from gateway.model import NO_FILE
from gateway.protocol.close_codes import Close
from gateway.protocol.incoming import COST_BYTES
from gateway.rates.bucket import Bucket
from gateway.socketio import engine_packets
from gateway.socketio.engine_packets import MalformedPacketError, Packet, Type
from gateway.socketio.polling import Polling
from gateway.wire.framing import close_frame, text_frame
from gateway.wire.websocket import CONTROL_COST

CLOSING_SECONDS = 1.0
"""Time for the client to take part in the end of a session."""
PING = text_frame(engine_packets.encode_text(Packet(Type.PING)))


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """When a session pings its client, and how long it waits for the answer."""

    interval_seconds: float
    timeout_seconds: float


class Owner:
    """To whom a session belongs. These methods serve a session that has nothing but itself."""

    __slots__ = ()

    def began(self, session: Session) -> None:
        """The session has a transport."""

    def ended(self, session: Session) -> None:
        """The session has ended; its transport may still write what is queued."""

    def message(self, session: Session, data: bytes, *, binary: bool) -> None:
        """Handle a message of the client."""
        raise NotImplementedError

    def write(self, session: Session, frames: bytes) -> None:
        """Write frames that tell only about the session."""
        session.transport.write(frames)

    def close(self, session: Session, reason: Close) -> None:
        """End the session: write why, and call `session.ended`."""
        session.ended(reason)
        session.finish(close_frame(reason.code, reason.text))

    def closed_by_client(self, session: Session, code: int, answer: bytes) -> None:
        """The client closes: write `answer`, close the transport, and call `session.ended`."""
        del code
        session.transport.write(answer)
        session.transport.close()
        session.ended(Close.BY_CLIENT)

    def broken(self, session: Session, reason: Close) -> None:
        """Picows writes a close frame next: write nothing after it, and call `session.ended`."""
        session.ended(reason)

    def gone(self, session: Session) -> None:
        """The transport is closed: call `session.ended`."""
        session.ended(Close.VANISHED)

    def pinged(self, session: Session) -> None:
        """A ping is about to be written."""

    def ponged(self, session: Session) -> None:
        """The client has answered the ping: it has received everything written before that."""

    def moved(self, session: Session) -> None:
        """The session has upgraded: `session.transport` is another one."""

    def paused(self, session: Session) -> None:
        """The client reads more slowly than the gateway writes."""

    def resumed(self, session: Session) -> None:
        """The client has read everything."""


class WebSocket(Protocol):
    """What a session sees of a WebSocket (`socketio.websocket`)."""

    @property
    def transport(self) -> asyncio.Transport:
        """Where its bytes go."""

    @property
    def answered(self) -> bool:
        """Whether its client was told that it works, and may have stopped polling."""

    def dismiss(self) -> None:
        """End a WebSocket that its session does not use."""


class Session:
    """One session."""

    __slots__ = (
        "_forget", "_heartbeat", "_pinged", "_timer",
        "bucket", "closing", "id", "owner", "polling", "posting", "probe", "transport",
    )  # fmt: skip

    def __init__(
        self, session_id: str, owner: Owner, bucket: Bucket, heartbeat: Heartbeat, forget: Callable[[Session], None]
    ) -> None:
        self.id = session_id
        self.owner = owner
        self.bucket = bucket
        """The rate limit of its client."""
        self.closing: Close | None = None
        """Why the session ends; None while it is open."""
        self.polling: Polling | None = None
        """The transport, if the session polls."""
        self.transport: asyncio.Transport
        """Where frames go. Set by `begin`."""
        self.probe: WebSocket | None = None
        """The WebSocket to which the session may upgrade."""
        self.posting = False
        """A request with packets is being received."""
        self._heartbeat = heartbeat
        self._forget = forget
        """Called once the session's transport is closed."""
        self._pinged = False
        """A ping awaits its answer."""
        self._timer: asyncio.TimerHandle | None = None
        """The next ping, or the end of the wait for its answer."""

    @property
    def file(self) -> int:
        """The file descriptor of its WebSocket; `NO_FILE` while it polls."""
        return NO_FILE if self.polling is not None else int(self.transport.get_extra_info("socket").fileno())

    def begin(self, websocket: WebSocket | None = None) -> None:
        """Start on a WebSocket, or with polling."""
        if websocket is None:
            self.transport = self.polling = Polling(self)
        else:
            self.transport = websocket.transport
        self._ping_later()
        self.owner.began(self)

    # What the client sends.

    def receive(self, packet: Packet) -> None:
        """Handle a packet, unless the session ends."""
        if self.closing is not None:
            return
        if packet.type is Type.MESSAGE:
            self.owner.message(self, packet.data, binary=packet.binary)
            return
        if not self.charge(CONTROL_COST + len(packet.data) // COST_BYTES):
            return
        match packet.type:
            case Type.PONG:
                if self._pinged:
                    self._pinged = False
                    self.owner.ponged(self)
                self._ping_later()
            case Type.CLOSE:
                self.owner.closed_by_client(self, 0, self.farewell)
            case Type.NOOP:
                pass
            case _:  # only the server opens and pings, and only a probe upgrades
                self.close(Close.MALFORMED_FRAME)

    def charge(self, cost: float) -> bool:
        """Charge the client; False if it floods, which ends the session."""
        self.bucket.take(cost)
        if self.bucket.flooding:
            self.close(Close.FLOODING)
        return not self.bucket.flooding

    def receive_text(self, text: bytes) -> None:
        """Handle the packet in a text message of the WebSocket."""
        try:
            packet = engine_packets.decode_text(text)
        except MalformedPacketError:
            self.close(Close.MALFORMED_FRAME)
        else:
            self.receive(packet)

    # The upgrade.

    def probed(self, websocket: WebSocket) -> bool:
        """The client tries a WebSocket; False if the session has one, or ends."""
        if self.polling is None or self.probe is not None or self.closing is not None:
            return False
        self.probe = websocket
        return True

    def probe_answered(self) -> None:
        """The WebSocket works: requests that poll are answered at once, so that the client can stop polling."""
        if self.polling is not None:
            self.polling.begin_release()

    def probe_failed(self) -> None:
        """The session stays where it is."""
        self.probe = None
        if self.polling is not None:
            self.polling.cancel_release()

    def upgrade(self, websocket: WebSocket) -> None:
        """Go on with the WebSocket that was probed, or end there: its client does not poll any more."""
        polling = self.polling
        if polling is None:
            websocket.dismiss()
            return
        self.probe = self.polling = None
        self.transport = websocket.transport
        held = polling.release()
        if self.closing is None:
            self.owner.moved(self)
        else:
            asyncio.get_running_loop().call_later(CLOSING_SECONDS, self.transport.abort)
        if held:
            self.transport.write(held)

    # The end.

    @property
    def farewell(self) -> bytes:
        """The last frames for a client that closes: a poll is answered with a `noop`."""
        return close_frame(0) if self.polling is None else b""

    def close(self, reason: Close) -> None:
        """End the session, unless it ends already."""
        if self.closing is None:
            self.owner.close(self, reason)

    def finish(self, last: bytes) -> None:
        """Write the last frames, if the client is there to read them, and close the transport if the client does not."""
        transport = self.transport
        if self.polling is not None and not self.polling.waiting and self.probe is None:
            self.polling.abort()
            return
        transport.write(last)
        asyncio.get_running_loop().call_later(CLOSING_SECONDS, transport.abort)

    def ended(self, reason: Close) -> None:
        """The session is closed for this reason: nothing of its client is handled any more."""
        if self.closing is not None:
            return
        self.closing = reason
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self.probe is not None and not self.probe.answered:
            self._dismiss_probe()
        self.owner.ended(self)

    def gone(self) -> None:
        """The transport is closed."""
        if self.closing is None:
            self.owner.gone(self)
        self._dismiss_probe()
        self._forget(self)

    def _dismiss_probe(self) -> None:
        probe, self.probe = self.probe, None
        if probe is not None:
            probe.dismiss()

    # Called by the polling transport.

    def pause_writing(self) -> None:
        """Bytes wait for a request."""
        self.owner.paused(self)

    def resume_writing(self) -> None:
        """The client has fetched everything."""
        self.owner.resumed(self)

    def polling_ended(self) -> None:
        """The polling transport is closed."""
        self.gone()

    # The heartbeat. Times count from when a ping was due, so that delays do not add up.

    def _ping_later(self) -> None:
        due = asyncio.get_running_loop().time() + self._heartbeat.interval_seconds
        self._expect(due, self._ping, due)

    def _ping(self, due: float) -> None:
        self._pinged = True
        self.owner.pinged(self)
        self.owner.write(self, PING)
        self._expect(due + self._heartbeat.timeout_seconds, self.close, Close.NO_HEARTBEAT)

    def _expect(self, when: float, call: Callable[..., None], argument: object) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = asyncio.get_running_loop().call_at(when, call, argument)

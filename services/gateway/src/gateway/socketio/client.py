"""One client of the Socket.IO door: from its first packet to its end.

It connects to the main namespace, by its first request's identity or by the token in `CONNECT`; from then on its session is a
connection of the gateway like any other, and its events are frames of docs/protocol.md.
"""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Raw, UnsetType

from chassis.errors import HubbubError, InvalidFrame, RateLimited, Unavailable
from gateway.commands.dispatch import Dispatch
from gateway.identity.identity import Identity
from gateway.model import Connection, Framed
from gateway.protocol import incoming
from gateway.protocol.close_codes import Close
from gateway.protocol.incoming import COST_BYTES, FRAME_BYTES, FrameRefused, Malformed
from gateway.protocol.outgoing import Accepted, encode
from gateway.socketio.owner import INVALID_NAMESPACE, PacketOwner, frames
from gateway.socketio.session import CLOSING_SECONDS, Session
from gateway.socketio.socket_packets import MAIN, Packet, Type
from gateway.socketio.wire import OPENING
from gateway.trail import Trail
from gateway.wire.registry import Registry
from gateway.wire.sweep import NEVER
from gateway.wire.websocket import CONTROL_COST

CONNECT_SECONDS = 5.0
"""From a session's beginning to the moment at which its client is known."""
CONNECT_COST = 5.0
"""Of the session's rate: a `CONNECT` verifies a signature."""


class Auth(msgspec.Struct, frozen=True):
    """What `CONNECT` carries; what it holds besides is ignored."""

    token: Annotated[str, Meta(min_length=1, max_length=8 * 1024)] | None = None
    ticket: Annotated[str, Meta(min_length=1, max_length=128)] | None = None
    positions: Raw | UnsetType = UNSET
    epoch: Raw | UnsetType = UNSET
    hold: bool = False
    pid: Any = None
    offset: Any = None
    """The session with which the client wants to go on, and the last event that it has received. Wrong ones are not found."""


_parse_auth = msgspec.json.Decoder(Auth).decode
_parse_name = msgspec.json.Decoder(str).decode
_encode = msgspec.json.Encoder().encode
_OPEN = incoming.Sync(positions={}, ref=OPENING)
"""Opens the flow where the channels stand."""


class Admission:
    """Opens the connection of a client that connects: `socketio.door` implements it."""

    async def identify(self, client: Client, auth: Auth) -> Identity:
        """The identity by which a client connects. Raises `HubbubError`."""
        raise NotImplementedError

    async def open(self, client: Client, identity: Identity, auth: Auth) -> None:
        """Open its connection, which calls `Client.adopt` and `Client.greet`. Raises `HubbubError`."""
        raise NotImplementedError

    def start(self, client: Client, auth: Auth) -> None:
        """Call `Client.connect` in a task."""
        raise NotImplementedError

    def no_stranger(self, client: Client) -> None:
        """The client is known now, or its session has ended. Called once."""
        raise NotImplementedError


class Client(PacketOwner):
    """The owner of one session."""

    __slots__ = (
        "_admission", "_connecting", "_dispatch", "_overdue", "_registry",
        "address", "connection", "epoch", "identity", "known", "pid", "recovered", "session", "shown", "stranger",
    )  # fmt: skip

    def __init__(
        self,
        admission: Admission,
        registry: Registry,
        dispatch: Dispatch,
        *,
        identity: Identity | None,
        shown: bytes,
        address: str,
    ) -> None:
        super().__init__(FRAME_BYTES, CONNECT_SECONDS)
        self._admission = admission
        self._registry = registry
        self._dispatch = dispatch
        self.stranger = identity is None
        """The first request did not tell who opens the session."""
        self.identity = identity
        """Who opened the session; None until its client is known."""
        self.shown = shown
        """Digest of the credential of the first request, which clients repeat with each one; empty if that had none."""
        self.address = address
        self.session: Session
        """Set once the session begins."""
        self.connection: Connection | None = None
        """None until the client has connected."""
        self.pid = ""
        """The name under which the session can be recovered; empty until the client has connected."""
        self.epoch = ""
        """The store's epoch when it connected."""
        self.recovered = False
        """The session goes on with an earlier one."""
        self._connecting = False
        """A `CONNECT` is being decided."""
        self._overdue = False
        """The time to connect is over."""
        self.known: asyncio.Event | None = asyncio.Event()
        """Set when the client has connected, or the session has ended; then None."""

    # The packets of the client.

    def began(self, session: Session) -> None:
        """Wait for `CONNECT`."""
        super().began(session)
        self.session = session

    def packet(self, session: Session, packet: Packet) -> None:
        """Handle a packet."""
        connection = self.connection
        match packet.type:
            case Type.CONNECT:
                self._take_connect(session, packet)
            case Type.DISCONNECT if connection is not None and packet.namespace == MAIN:
                self.closed_by_client(session, 0, session.farewell)
            case Type.EVENT | Type.BINARY_EVENT if connection is not None and packet.namespace == MAIN:
                self._take_event(connection, packet)
            case Type.ACK | Type.BINARY_ACK if connection is not None:
                session.charge(CONTROL_COST + _size(packet) // COST_BYTES)  # the door asks for no acknowledgement
            case _:
                session.close(Close.MALFORMED_FRAME)

    def _take_connect(self, session: Session, packet: Packet) -> None:
        if not session.charge(CONNECT_COST + _size(packet) // COST_BYTES):
            return
        if packet.namespace != MAIN:
            self.write(session, frames(Packet(Type.CONNECT_ERROR, packet.namespace, data=INVALID_NAMESPACE)))
        elif self._connecting or self.connection is not None:
            session.close(Close.MALFORMED_FRAME)
        else:
            try:
                auth = _parse_auth(packet.data or b"{}")
            except msgspec.DecodeError:
                self.refuse(InvalidFrame("auth has a field of the wrong type"))
                return
            self._connecting = True
            self._admission.start(self, auth)

    def _take_event(self, connection: Connection, packet: Packet) -> None:
        size = _size(packet)
        try:
            frame = _frame(packet)
        except Malformed:
            self._registry.close(connection, Close.MALFORMED_FRAME)
        except FrameRefused as refused:
            self._dispatch.refuse(connection, refused, size)
        else:
            accepted = self._dispatch.handle(connection, frame, size)
            if accepted and frame.silent and packet.id is not None:
                self._registry.writer.send_unheld(connection, encode(Accepted(frame.ref)))

    # Connecting.

    async def connect(self, auth: Auth) -> None:
        """Open the connection, or refuse it. What passes by itself ends the session, so that clients come back."""
        try:
            sync = _sync(auth)
            self.identity = await self._admission.identify(self, auth)
            await self._admission.open(self, self.identity, auth)
        except (Unavailable, RateLimited, TimeoutError):
            self.session.close(Close.RESTARTING)
        except HubbubError as error:
            self.refuse(error)
        else:
            if self.connection is not None and self.recovered:
                self._open_flow(self.connection, _OPEN)
            elif self.connection is not None and not auth.hold:
                self._open_flow(self.connection, sync)
        finally:
            self._connecting = False

    def adopt(self, connection: Connection) -> bool:
        """Give a connection its transport; False if the session has ended. `greet` comes next."""
        session = self.session
        if session.closing is not None:
            return False
        connection.last_frame = NEVER  # the session has a heartbeat of its own
        connection.bucket = session.bucket
        self.connection = connection
        self.moved(session)
        self.stop_waiting()
        self._decided()
        return True

    def greet(self, connection: Connection, pid: str, trail: Trail, *, recovered: bool) -> None:
        """Answer `CONNECT`. `hello` comes next, unless an earlier session goes on."""
        self.pid, self.recovered, connection.trail = pid, recovered, trail
        self.session.transport.write(frames(Packet(Type.CONNECT, data=_encode({"sid": connection.id, "pid": pid}))))

    def _open_flow(self, connection: Connection, sync: incoming.Sync) -> None:
        """Open the flow of events as a first `sync` would."""
        if connection.closing is not None:
            return
        if not self._dispatch.handle(connection, sync, 0) or connection.flow is None:
            self._registry.close(connection, Close.RESYNC_NEEDED)
        else:
            connection.flow.add(self._check_flow)

    async def _check_flow(self) -> None:
        """End a connection whose first `sync` failed: its client did not send it, and will not send it again."""
        connection = self.connection
        if connection is not None and connection.closing is None and not connection.flowing:
            self._registry.close(connection, Close.RESYNC_NEEDED)

    def refuse(self, error: HubbubError) -> None:
        """Answer `CONNECT_ERROR`, which stock clients do not try again after."""
        data = {"message": error.reason, "data": {"reason": error.reason, "detail": error.detail}}
        if self.session.closing is None:
            self.write(self.session, frames(Packet(Type.CONNECT_ERROR, data=_encode(data))))
        if self._overdue:
            self.session.close(Close.NO_HEARTBEAT)

    def _not_connected(self, session: Session) -> None:
        self._overdue = True
        if not self._connecting:
            session.close(Close.NO_HEARTBEAT)

    # The session.

    def write(self, session: Session, frames: bytes) -> None:
        """Write frames that tell only about the session, in order with those of its connection."""
        if self.connection is None:
            super().write(session, frames)
        else:
            self._registry.writer.send_unheld(self.connection, Framed(frames))

    def close(self, session: Session, reason: Close) -> None:
        """End the session with its connection."""
        if self.connection is None:
            super().close(session, reason)
        else:
            self._registry.close(self.connection, reason)

    def closed_by_client(self, session: Session, code: int, answer: bytes) -> None:
        """The client leaves."""
        if self.connection is None:
            super().closed_by_client(session, code, answer)
        else:
            self._registry.closed_by_client(self.connection, code, answer)

    def broken(self, session: Session, reason: Close) -> None:
        """Picows writes a close frame next."""
        if self.connection is None:
            super().broken(session, reason)
        else:
            self._registry.broken(self.connection, reason)

    def gone(self, session: Session) -> None:
        """The transport is closed."""
        if self.connection is None:
            super().gone(session)
        else:
            self._registry.gone(self.connection)

    def pinged(self, session: Session) -> None:
        """What was written so far is confirmed by the answer."""
        del session
        if self.connection is not None and self.connection.trail is not None:
            self.connection.trail.pinged()

    def ponged(self, session: Session) -> None:
        """The client has received what was written before the ping."""
        del session
        if self.connection is not None and self.connection.trail is not None and self.connection.catching is None:
            self.connection.trail.confirmed()

    def moved(self, session: Session) -> None:
        """The connection takes the session's transport."""
        connection = self.connection
        if connection is not None:
            connection.transport = session.transport
            connection.paused = session.transport.get_write_buffer_size() > 0
            connection.file = session.file

    def paused(self, session: Session) -> None:
        """The client reads more slowly than the gateway writes."""
        del session
        if self.connection is not None:
            self.connection.pause()

    def resumed(self, session: Session) -> None:
        """The client has read everything."""
        del session
        if self.connection is not None:
            self.connection.resume()

    def ended(self, session: Session) -> None:
        """The session has ended."""
        super().ended(session)
        self._decided()

    def _decided(self) -> None:
        if self.known is not None:
            self.known.set()
            self.known = None
            self._admission.no_stranger(self)

    def connection_ended(self, reason: Close) -> None:
        """The registry has ended the connection: what it wrote last is on its way."""
        session = self.session
        session.ended(reason)
        if not reason.reconnect:  # the client stays away, and is not waited for
            asyncio.get_running_loop().call_later(CLOSING_SECONDS, session.transport.abort)


def _sync(auth: Auth) -> incoming.Sync:
    """The `sync` that opens the flow. Raises `HubbubError` for positions that are not valid."""
    if auth.positions is UNSET:
        return _OPEN
    fields = {"positions": auth.positions, **({"epoch": auth.epoch} if auth.epoch is not UNSET else {})}
    try:
        frame = incoming.decode_fields("sync", _encode(fields), Raw(b'["connect",null]'))
    except Malformed:
        raise InvalidFrame("positions nest too deeply") from None
    except FrameRefused as refused:
        raise refused.error from None
    assert isinstance(frame, incoming.Sync)  # noqa: S101 - by its name
    return frame


def _frame(packet: Packet) -> incoming.Frame:
    """The frame for an event. Its `ref` is what `socketio.wire` needs for the answer. Raises `Malformed`, `FrameRefused`."""
    if incoming.too_deep(packet.data.strip()[1:-1]):
        raise Malformed
    try:
        (first, *arguments), fault = packet.arguments, ""
    except msgspec.DecodeError:
        (first, *arguments), fault = packet.without_surrogates().arguments, "A text holds half a character"
    name = _name(first)
    ref = Raw(_encode((name, packet.id)))
    if fault:
        raise FrameRefused(InvalidFrame(fault), ref)
    if packet.type is Type.BINARY_EVENT or name is None or len(arguments) != 1:
        raise FrameRefused(InvalidFrame("An event has a name and one object"), ref)
    return incoming.decode_fields(name, bytes(arguments[0]), ref)


def _size(packet: Packet) -> int:
    return len(packet.data) + sum(map(len, packet.attachments))


def _name(first: Raw) -> str | None:
    try:
        return _parse_name(first)
    except msgspec.DecodeError:
        return None

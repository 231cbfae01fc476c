"""The Engine.IO endpoint: its sessions, and the requests and WebSockets by which clients reach them.

`socketio.session` is one session; the `Door` decides who may open one and what its messages mean. A session whose client is
silent ends by its heartbeat.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping
from typing import Protocol

import msgspec
import structlog
from starlette.types import Receive, Scope, Send

from chassis.context import request, request_id_from
from chassis.errors import HubbubError, Internal, TooLarge, Unavailable
from chassis.metrics import DEFECTS
from gateway.door.upgrade import Refused as InvalidHandshake
from gateway.door.upgrade import handshake_key, header_fields, switch_protocols
from gateway.metrics import OPENED
from gateway.protocol.close_codes import Close
from gateway.rates.bucket import Bucket
from gateway.socketio import engine_packets
from gateway.socketio.engine_packets import MalformedPacketError, Packet, Type
from gateway.socketio.handshake import JSON, Handshake, Refused, Transport
from gateway.socketio.polling import Polling
from gateway.socketio.session import Heartbeat, Owner, Session
from gateway.socketio.websocket import EngineListener
from gateway.wire.framing import text_frame
from gateway.wire.websocket import TURN_FRAMES

log = structlog.get_logger()
TEXT = "text/plain; charset=UTF-8"
HANDSHAKE_SECONDS = 12.0
UNDER_WAY = 5_000
"""Handshakes of WebSockets at one time; more are refused."""


class Door(Protocol):
    """Who may open a session, and what its messages mean."""

    async def admit(self, handshake: Handshake) -> tuple[Owner, Bucket]:
        """The owner of a new session and the rate limit of its client. Raises `HubbubError`."""

    async def check(self, session: Session, handshake: Handshake) -> None:
        """Check a later request of a session. Raises `HubbubError`."""


class Opened(msgspec.Struct, frozen=True, rename="camel"):
    """The `open` packet."""

    sid: str
    upgrades: list[str]
    ping_interval: int
    ping_timeout: int
    max_payload: int


class Engine:
    """One endpoint."""

    def __init__(
        self,
        door: Door,
        name: str,
        *,
        heartbeat: Heartbeat,
        max_payload: int,
        group: asyncio.TaskGroup,
        listener: type[EngineListener] = EngineListener,
    ) -> None:
        self._name = name
        """The first part of each session's id."""
        self._door = door
        self._heartbeat = heartbeat
        self._max_payload = max_payload
        """Bytes of a request with packets."""
        self._group = group
        self._listener = listener
        """Whose `max_bytes` bounds a message of a WebSocket."""
        self.sessions: dict[str, Session] = {}
        """By id."""
        self.under_way = 0
        """Handshakes of WebSockets that are being decided."""

    def close(self, reason: Close) -> None:
        """End every session."""
        for session in list(self.sessions.values()):
            session.close(reason)

    # Long-polling.

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request (ASGI)."""
        try:
            status, kind, body, headers = 200, TEXT, await self._answer(scope, receive), {}
        except Refused as refused:
            status, kind, body, headers = refused.status, JSON, refused.body, refused.headers
        fields = {"Content-Type": kind, "Content-Length": str(len(body)), "Cache-Control": "no-store", **headers}
        raw = [(name.lower().encode(), value.encode()) for name, value in fields.items()]
        await send({"type": "http.response.start", "status": int(status), "headers": raw})
        await send({"type": "http.response.body", "body": body})

    async def _answer(self, scope: Scope, receive: Receive) -> bytes:
        """The body of the answer. Raises `Refused`."""
        client = scope.get("client") or ("", 0)
        handshake = Handshake.of(scope["query_string"], header_fields(scope["headers"]), client[0])
        try:
            if handshake.session is None:
                return await self._open(scope["method"], handshake)
            session = self._find(handshake.session)
            await self._door.check(session, handshake)
        except HubbubError as error:
            raise Refused.of(error) from None
        polling = session.polling
        if polling is None or handshake.transport is not Transport.POLLING:
            raise Refused.bad_request()
        match scope["method"]:
            case "GET":
                return await self._poll(session, polling, receive)
            case "POST" if session.closing is None:
                return await self._post(session, receive)
            case "POST":
                raise Refused.session_unknown()
            case _:
                raise Refused.bad_request()

    async def _open(self, method: str, handshake: Handshake) -> bytes:
        if method != "GET":
            raise Refused.bad_method()
        if handshake.transport is not Transport.POLLING:
            raise Refused.bad_request()
        session = await self._admit(handshake)
        session.begin()
        return self._opened(session, [Transport.WEBSOCKET.value])

    async def _poll(self, session: Session, polling: Polling, receive: Receive) -> bytes:
        if polling.waiting:
            session.close(Close.PROTOCOL_ERROR)
            raise Refused.bad_request()
        if polling.ready:
            return polling.take()
        watching = asyncio.create_task(_abort_when_disconnected(polling, receive))
        try:
            return await polling.poll()
        finally:
            watching.cancel()

    async def _post(self, session: Session, receive: Receive) -> bytes:
        if session.posting:
            session.close(Close.PROTOCOL_ERROR)
            raise Refused.bad_request()
        session.posting = True
        try:
            body = await self._body(receive)
            body.decode()  # only to see whether it is UTF-8
            for number, packet in enumerate(engine_packets.decode_payload(body), 1):
                session.receive(packet)
                if number % TURN_FRAMES == 0:
                    await asyncio.sleep(0)
        except TooLarge as error:
            session.close(Close.FRAME_TOO_LARGE)
            raise Refused.of(error) from None
        except (MalformedPacketError, UnicodeDecodeError):
            session.close(Close.MALFORMED_FRAME)
        finally:
            session.posting = False
        if session.closing not in (None, Close.BY_CLIENT):
            raise Refused.bad_request()
        return b"ok"

    async def _body(self, receive: Receive) -> bytes:
        body = bytearray()
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise MalformedPacketError
            body += message.get("body", b"")
            if len(body) > self._max_payload:
                raise TooLarge
            if not message.get("more_body", False):
                return bytes(body)

    # WebSockets.

    def begin(self, transport: asyncio.Transport, target: bytes, headers: list[tuple[bytes, bytes]], rest: bytes) -> None:
        """Handle the handshake of a WebSocket. Its transport is paused, and belongs to this object from now on."""
        if self.under_way >= UNDER_WAY:
            _refuse(transport, Refused.of(Unavailable()))
            return
        self.under_way += 1
        self._group.create_task(self._decide(transport, target, headers, rest))

    async def _decide(self, transport: asyncio.Transport, target: bytes, headers: list[tuple[bytes, bytes]], rest: bytes) -> None:
        fields = header_fields(headers)
        try:
            with request(request_id_from(fields.get("x-request-id"))):
                async with asyncio.timeout(HANDSHAKE_SECONDS):
                    await self._accept(transport, target, fields, rest)
        except Refused as refused:
            _refuse(transport, refused)
        except InvalidHandshake as refused:
            _refuse(transport, Refused.bad_request(refused.headers))
        except HubbubError as error:
            _refuse(transport, Refused.of(error))
        except TimeoutError:
            _refuse(transport, Refused.of(Unavailable()))
        except Exception as error:  # the outermost handler of a handshake
            DEFECTS.labels("handshake").inc()
            log.exception("handshake_failed", error=type(error).__name__)
            _refuse(transport, Refused.of(Internal()))
        finally:
            self.under_way -= 1

    async def _accept(self, transport: asyncio.Transport, target: bytes, fields: Mapping[str, str], rest: bytes) -> None:
        peer = transport.get_extra_info("peername") or ("",)
        handshake = Handshake.of(target.partition(b"?")[2], fields, peer[0])
        if handshake.transport is not Transport.WEBSOCKET:
            raise Refused.bad_request()
        key = handshake_key(fields)
        if handshake.session is not None:
            session = self._find(handshake.session)
            await self._door.check(session, handshake)
        else:
            session = await self._admit(handshake)
        if transport.is_closing():
            if handshake.session is None:
                session.ended(Close.VANISHED)
                self._forget(session)
            return
        listener = self._listener(session, transport)
        switch_protocols(transport, listener, key, None, rest)
        if handshake.session is not None:
            listener.probe()
        else:
            session.begin(listener)
            transport.write(text_frame(self._opened(session, [])))

    # Sessions.

    def _find(self, session_id: str) -> Session:
        session = self.sessions.get(session_id)
        if session is None:
            raise Refused.session_unknown()
        return session

    async def _admit(self, handshake: Handshake) -> Session:
        owner, bucket = await self._door.admit(handshake)
        session = Session(f"{self._name}.{secrets.token_hex(16)}", owner, bucket, self._heartbeat, self._forget)
        self.sessions[session.id] = session
        return session

    def _forget(self, session: Session) -> None:
        self.sessions.pop(session.id, None)

    def _opened(self, session: Session, upgrades: list[str]) -> bytes:
        interval, timeout = round(self._heartbeat.interval_seconds * 1e3), round(self._heartbeat.timeout_seconds * 1e3)
        opened = Opened(session.id, upgrades, interval, timeout, self._max_payload)
        return engine_packets.encode_text(Packet(Type.OPEN, msgspec.json.encode(opened)))


async def _abort_when_disconnected(polling: Polling, receive: Receive) -> None:
    """End a session whose client gives up a request that waits: what the answer would hold could be lost."""
    while (await receive())["type"] != "http.disconnect":
        pass
    polling.abort()


def _refuse(transport: asyncio.Transport, refused: Refused) -> None:
    OPENED.labels(str(refused.status.value)).inc()
    if not transport.is_closing():
        transport.write(refused.raw())
        transport.close()

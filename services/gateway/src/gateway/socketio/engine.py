"""The Engine.IO endpoint: its sessions, and the requests and WebSockets by which clients reach them.

`socketio.session` is one session; the `Door` decides who may open one and what its messages mean. A session whose client is
silent ends by its heartbeat. A session's id begins with the name of its endpoint, and what is for a session of another endpoint
is handed on to it (`Elsewhere`).
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import MutableMapping
from http import HTTPStatus
from typing import Any, Protocol

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
from gateway.socketio.handshake import Handshake, Refused, Transport
from gateway.socketio.polling import Polling
from gateway.socketio.requests import Answer, Disconnected, Request
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


class Elsewhere(Protocol):
    """The sessions of other endpoints."""

    async def answer(self, name: str, request: Request) -> Answer:
        """Have an endpoint answer a request for its session. Raises `Refused`, `HubbubError`."""

    async def relay(self, name: str, request: Request, transport: asyncio.Transport, rest: bytes) -> None:
        """Connect a WebSocket whose handshake is `request` with an endpoint. Raises `Refused`, `HubbubError`."""


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
        elsewhere: Elsewhere | None = None,
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
        self._elsewhere = elsewhere
        """None if there are no other endpoints."""
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
        peer, _ = scope.get("client") or ("", 0)
        answer = await self.answer(
            Request(scope["method"], scope["query_string"], header_fields(scope["headers"]), peer, receive)
        )
        fields = {"Content-Length": str(len(answer.body)), "Cache-Control": "no-store", **answer.headers}
        raw = [(name.lower().encode(), value.encode()) for name, value in fields.items()]
        await send({"type": "http.response.start", "status": int(answer.status), "headers": raw})
        await send({"type": "http.response.body", "body": answer.body})

    async def answer(self, request: Request, *, handed_on: bool = False) -> Answer:
        """Answer a request, which another endpoint may have handed on."""
        try:
            handshake = Handshake.of(request)
            if handshake.session is None:
                body = await self._open(request.method, handshake)
            elif (session := self.sessions.get(handshake.session)) is not None:
                await self._door.check(session, handshake)
                body = await self._serve(session, request, handshake)
            else:
                elsewhere, name = self._other(handshake.session, handed_on=handed_on)
                return await elsewhere.answer(name, request)
        except Refused as refused:
            return refused.answer
        except HubbubError as error:
            return Refused.of(error).answer
        return Answer(HTTPStatus.OK, {"Content-Type": TEXT}, body)

    async def _serve(self, session: Session, request: Request, handshake: Handshake) -> bytes:
        """The body of the answer to a request of a session. Raises `Refused`."""
        polling = session.polling
        if polling is None or handshake.transport is not Transport.POLLING:
            raise Refused.bad_request()
        match request.method:
            case "GET":
                return await self._poll(session, polling, request)
            case "POST" if session.closing is None:
                return await self._post(session, request)
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

    async def _poll(self, session: Session, polling: Polling, request: Request) -> bytes:
        if polling.waiting:
            session.close(Close.PROTOCOL_ERROR)
            raise Refused.bad_request()
        if polling.ready:
            return polling.take()
        watching = asyncio.create_task(_abort_when_disconnected(polling, request))
        try:
            return await polling.poll()
        except asyncio.CancelledError:  # another endpoint, which handed the request on, gives it up
            polling.abort()
            raise
        finally:
            watching.cancel()

    async def _post(self, session: Session, request: Request) -> bytes:
        if session.posting:
            session.close(Close.PROTOCOL_ERROR)
            raise Refused.bad_request()
        session.posting = True
        try:
            body = await request.body(self._max_payload)
            body.decode()  # only to see whether it is UTF-8
            for number, packet in enumerate(engine_packets.decode_payload(body), 1):
                session.receive(packet)
                if number % TURN_FRAMES == 0:
                    await asyncio.sleep(0)
        except TooLarge as error:
            session.close(Close.FRAME_TOO_LARGE)
            raise Refused.of(error) from None
        except (Disconnected, MalformedPacketError, UnicodeDecodeError):
            session.close(Close.MALFORMED_FRAME)
        finally:
            session.posting = False
        if session.closing not in (None, Close.BY_CLIENT):
            raise Refused.bad_request()
        return b"ok"

    # WebSockets.

    def begin(self, transport: asyncio.Transport, target: bytes, headers: list[tuple[bytes, bytes]], rest: bytes) -> None:
        """Handle the handshake of a WebSocket. Its transport is paused, and belongs to this object from now on."""
        peer = transport.get_extra_info("peername") or ("",)
        self.accept(transport, Request("GET", target.partition(b"?")[2], header_fields(headers), peer[0], _no_body), rest)

    def accept(self, transport: asyncio.Transport, request: Request, rest: bytes, *, handed_on: bool = False) -> None:
        """Handle a handshake, which another endpoint may have handed on; as `begin`."""
        if self.under_way >= UNDER_WAY:
            _refuse(transport, Refused.of(Unavailable()))
            return
        self.under_way += 1
        self._group.create_task(self._decide(transport, request, rest, handed_on=handed_on))

    async def _decide(self, transport: asyncio.Transport, asked: Request, rest: bytes, *, handed_on: bool) -> None:
        try:
            with request(request_id_from(asked.fields.get("x-request-id"))):
                async with asyncio.timeout(HANDSHAKE_SECONDS):
                    await self._accept(transport, asked, rest, handed_on=handed_on)
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

    async def _accept(self, transport: asyncio.Transport, asked: Request, rest: bytes, *, handed_on: bool) -> None:
        handshake = Handshake.of(asked)
        if handshake.transport is not Transport.WEBSOCKET:
            raise Refused.bad_request()
        key = handshake_key(asked.fields)
        if handshake.session is None:
            session = await self._admit(handshake)
        elif (found := self.sessions.get(handshake.session)) is not None:
            session = found
            await self._door.check(session, handshake)
        else:
            elsewhere, name = self._other(handshake.session, handed_on=handed_on)
            await elsewhere.relay(name, asked, transport, rest)
            return
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

    def _other(self, session_id: str, *, handed_on: bool) -> tuple[Elsewhere, str]:
        """Where the session of another endpoint is, with the endpoint's name. Raises `Refused`."""
        name, _, _ = session_id.partition(".")
        if self._elsewhere is None or handed_on or name == self._name:
            raise Refused.session_unknown()
        return self._elsewhere, name

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


async def _abort_when_disconnected(polling: Polling, request: Request) -> None:
    """End a session whose client gives up a request that waits: what the answer would hold could be lost."""
    await request.disconnected()
    polling.abort()


async def _no_body() -> MutableMapping[str, Any]:
    return {"type": "http.request"}


def _refuse(transport: asyncio.Transport, refused: Refused) -> None:
    OPENED.labels(str(refused.status.value)).inc()
    if not transport.is_closing():
        transport.write(refused.raw())
        transport.close()

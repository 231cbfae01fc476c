"""Hands requests and WebSockets for sessions of other gateways on to them.

A gateway that is gone, or does not answer, has no session any more: the client begins anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import grpc
import structlog

from chassis.errors import HubbubError, TooLarge, Unavailable
from chassis.grpc_client import call, metadata
from gateway.metrics import HANDED_ON
from gateway.socketio.engine import Elsewhere
from gateway.socketio.handshake import Refused
from gateway.socketio.peers import Peers
from gateway.socketio.requests import Answer, Disconnected, Request
from gateway.socketio.session import Heartbeat
from gateway.supervise import guarded
from hubbub.gateway.v1.gateway_service_pb2 import HandOverRequest, HandOverResponse, Header, RelayRequest
from hubbub.gateway.v1.gateway_service_pb2_grpc import GatewayServiceStub

log = structlog.get_logger()
UNDER_WAY = 20_000
"""Requests and WebSockets that are handed on at one time; more are refused."""
CHUNK_BYTES = 64 * 1024
"""Of a WebSocket, in one message."""
_NEEDED = frozenset(
    ("authorization", "origin", "host", "x-forwarded-for", "x-request-id", "sec-websocket-key", "sec-websocket-version")
)
"""Headers that the gateway of a session needs."""


class HandOver(Elsewhere):
    """Requests and WebSockets that are handed on."""

    def __init__(self, peers: Peers, *, heartbeat: Heartbeat, max_payload: int, group: asyncio.TaskGroup) -> None:
        self._peers = peers
        self._seconds = heartbeat.interval_seconds + heartbeat.timeout_seconds
        """The longest time for an answer: a poll waits until the next ping at most."""
        self._max_payload = max_payload
        self._group = group
        self.requests = 0
        """Requests under way."""
        self._relays: set[asyncio.Task[None]] = set()
        """WebSockets under way."""

    @property
    def websockets(self) -> int:
        """WebSockets under way."""
        return len(self._relays)

    def close(self) -> None:
        """Close every WebSocket that is handed on."""
        for relay in self._relays:
            relay.cancel()

    async def answer(self, name: str, request: Request) -> Answer:
        """Have a gateway answer a request for its session; one that its client gives up is given up there. Raises `Refused`."""
        self._check_room()
        self.requests += 1
        try:
            peer = await self._find(name)
            message = await self._message(request)
            calling = asyncio.create_task(call(peer.HandOver, message, timeout=self._seconds))
            watching = asyncio.create_task(request.disconnected())
            try:
                await asyncio.wait((calling, watching), return_when=asyncio.FIRST_COMPLETED)
                if not calling.done():
                    raise Refused.bad_request()  # read by no client
                response: HandOverResponse = await calling
            finally:
                calling.cancel()
                watching.cancel()
        except Disconnected:
            raise Refused.bad_request() from None
        except HubbubError as error:
            HANDED_ON.labels("request", error.reason).inc()
            log.info("hand_over_failed", gateway=name, reason=error.reason)
            raise Refused.session_unknown() from None
        finally:
            self.requests -= 1
        HANDED_ON.labels("request", "OK").inc()
        return Answer(response.status, {each.name: each.value for each in response.headers}, response.body)

    async def relay(self, name: str, request: Request, transport: asyncio.Transport, rest: bytes) -> None:
        """Carry the bytes of a WebSocket to and from a gateway, until either end closes. Raises `Refused`, `Unavailable`."""
        self._check_room()
        peer = await self._find(name)
        message = await self._message(request)
        HANDED_ON.labels("websocket", "OK").inc()
        relay = self._group.create_task(guarded("relay", _carry(peer, message, transport, rest), transport.abort))
        self._relays.add(relay)
        relay.add_done_callback(self._relays.discard)

    def _check_room(self) -> None:
        if self.requests + len(self._relays) >= UNDER_WAY:
            raise Refused.of(Unavailable())

    async def _find(self, name: str) -> GatewayServiceStub:
        try:
            peer = await self._peers.find(name)
        except Unavailable as error:
            raise Refused.of(error) from None
        if peer is None:
            raise Refused.session_unknown()
        return peer

    async def _message(self, request: Request) -> HandOverRequest:
        """Raises `Disconnected`."""
        try:
            body = await request.body(self._max_payload)
        except TooLarge:
            body = bytes(self._max_payload + 1)  # the gateway of the session is to see that, and ends it
        return HandOverRequest(
            method=request.method,
            query=request.query.decode("latin-1"),
            headers=[Header(name=name, value=value) for name, value in request.fields.items() if name in _NEEDED],
            peer=request.peer,
            body=body,
        )


async def _carry(peer: GatewayServiceStub, handshake: HandOverRequest, transport: asyncio.Transport, rest: bytes) -> None:
    reader, writer = _streams(transport)
    stream = peer.Relay(_outgoing(handshake, rest, reader), metadata=metadata())
    try:
        async for response in stream:
            writer.write(response.data)
            await writer.drain()
    except grpc.aio.AioRpcError as error:
        log.info("relay_ended", status=error.code().name)
    except OSError:  # the client is gone
        pass
    finally:
        stream.cancel()
        writer.close()


async def _outgoing(handshake: HandOverRequest, rest: bytes, reader: asyncio.StreamReader) -> AsyncIterator[RelayRequest]:
    yield RelayRequest(handshake=handshake, data=rest)
    with suppress(OSError):  # the client is gone
        while data := await reader.read(CHUNK_BYTES):
            yield RelayRequest(data=data)


def _streams(transport: asyncio.Transport) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A paused transport as streams."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(CHUNK_BYTES, loop)
    protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
    transport.set_protocol(protocol)
    protocol.connection_made(transport)
    transport.resume_reading()
    return reader, asyncio.StreamWriter(transport, protocol, reader, loop)

"""Serves other gateways: requests and WebSockets for sessions of this one (`hubbub.gateway.v1.GatewayService`).

A WebSocket gets a pair of sockets, so that its session has a transport like any other: the session's end is given to the engine,
and the bytes of the other end travel in the call.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, MutableMapping
from contextlib import suppress
from typing import Any

import grpc

from chassis.errors import InvalidArgument
from gateway.socketio.engine import Engine
from gateway.socketio.handover import CHUNK_BYTES
from gateway.socketio.recovery import Recovery
from gateway.socketio.requests import Request
from hubbub.gateway.v1.gateway_service_pb2 import (
    HandOverRequest,
    HandOverResponse,
    Header,
    RelayRequest,
    RelayResponse,
    TakeSessionRequest,
    TakeSessionResponse,
)
from hubbub.gateway.v1.gateway_service_pb2_grpc import GatewayServiceServicer

SERVICE = "hubbub.gateway.v1.GatewayService"
MOST_CALLS = 40_000
"""At one time: as many as two gateways hand on."""
LOOPBACK = "127.0.0.1"
_Context = grpc.aio.ServicerContext[Any, Any]


class PeerService(GatewayServiceServicer):
    """The RPCs."""

    def __init__(self, engine: Engine, recovery: Recovery) -> None:
        self._engine = engine
        self._recovery = recovery

    async def HandOver(self, request: HandOverRequest, _context: _Context) -> HandOverResponse:  # noqa: N802
        """Answer a request. Cancellation gives it up."""
        answer = await self._engine.answer(_request(request), handed_on=True)
        headers = [Header(name=name, value=value) for name, value in answer.headers.items()]
        return HandOverResponse(status=int(answer.status), headers=headers, body=answer.body)

    async def TakeSession(self, request: TakeSessionRequest, _context: _Context) -> TakeSessionResponse:  # noqa: N802
        """Give a session to the calling gateway."""
        return self._recovery.take(request)

    async def Relay(  # noqa: N802
        self, requests: AsyncIterator[RelayRequest], _context: _Context
    ) -> AsyncIterator[RelayResponse]:
        """Carry the bytes of a WebSocket. Raises `InvalidArgument` for a stream that does not begin with a handshake."""
        first = await anext(aiter(requests), RelayRequest())
        if not first.HasField("handshake"):
            raise InvalidArgument("A relay begins with a handshake")
        transport, reader, writer = await _connected()
        self._engine.accept(transport, _request(first.handshake), first.data, handed_on=True)
        receiving = asyncio.create_task(_receive(requests, writer))
        try:
            while data := await reader.read(CHUNK_BYTES):
                yield RelayResponse(data=data)
        finally:
            receiving.cancel()
            writer.close()


def _request(message: HandOverRequest) -> Request:
    received = False

    async def receive() -> MutableMapping[str, Any]:
        nonlocal received
        if received:
            await asyncio.get_running_loop().create_future()  # until the call is cancelled
        received = True
        return {"type": "http.request", "body": message.body}

    fields = {each.name: each.value for each in message.headers}
    return Request(message.method, message.query.encode("latin-1"), fields, message.peer, receive)


async def _connected() -> tuple[asyncio.Transport, asyncio.StreamReader, asyncio.StreamWriter]:
    """A paused transport, and streams of its other end."""
    near, far = _socket_pair()
    transport, _ = await asyncio.get_running_loop().connect_accepted_socket(asyncio.Protocol, near)
    transport.pause_reading()
    reader, writer = await asyncio.open_connection(sock=far, limit=CHUNK_BYTES)
    return transport, reader, writer


def _socket_pair() -> tuple[socket.socket, socket.socket]:
    """Connected sockets over TCP, of which picows sets options that `socket.socketpair` does not have."""
    with socket.create_server((LOOPBACK, 0), backlog=1) as listening:
        far = socket.create_connection(listening.getsockname())
        while True:
            near, peer = listening.accept()
            if peer == far.getsockname():
                break
            near.close()  # another process of this machine
    near.setblocking(False)
    far.setblocking(False)
    return near, far


async def _receive(requests: AsyncIterator[RelayRequest], writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):  # the session's end is closed
        async for request in requests:
            writer.write(request.data)
            await writer.drain()
        writer.write_eof()

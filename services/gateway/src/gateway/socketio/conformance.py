"""The application that the public test suites of Engine.IO and Socket.IO expect, on the code of the Socket.IO door.

    python -m gateway.socketio.conformance --port 3000 [--heartbeat production]

`/engine.io/` echoes every message. `/socket.io/` has the namespaces `/` and `/custom`: it emits `auth` with what the client gave,
answers `message` with `message-back`, and `message-with-ack` with its acknowledgement. It serves this machine alone.
"""

from __future__ import annotations

import argparse
import asyncio
import secrets
import signal
import socket
from collections.abc import Mapping
from contextlib import suppress

import msgspec
import uvloop
from starlette.types import Receive, Scope, Send

from chassis.config import Address
from gateway.door.capacity import Capacity
from gateway.door.server import bind, make_server
from gateway.protocol.close_codes import Close
from gateway.rates.bucket import Bucket
from gateway.socketio import engine_packets
from gateway.socketio.engine import Engine
from gateway.socketio.handshake import Handshake
from gateway.socketio.owner import INVALID_NAMESPACE, PacketOwner, frames
from gateway.socketio.session import Heartbeat, Owner, Session
from gateway.socketio.socket_packets import Packet, Type, with_attachments, without_attachments
from gateway.socketio.websocket import EngineListener
from gateway.wire.framing import binary_frame, text_frame

HEARTBEATS = {"fast": Heartbeat(0.3, 0.2), "production": Heartbeat(25.0, 20.0)}
MAX_PAYLOAD = 1_000_000
CONNECT_SECONDS = 1.5
"""The suites allow 2 s, and in one case send nothing but the answers to three pings meanwhile."""
APART_SECONDS = 0.02
"""From the answer to `CONNECT` to `auth`. The suites await one message after the other, and miss one that comes with another."""
CONNECTIONS = 1_000
NAMESPACES = frozenset({"/", "/custom"})
_UNBOUNDED = 1e9


class EchoListener(EngineListener):
    """A WebSocket with the limit that the suites expect."""

    max_bytes = MAX_PAYLOAD


class EngineEcho(Owner):
    """Echoes messages."""

    def message(self, session: Session, data: bytes, *, binary: bool) -> None:
        """Echo a message."""
        packet = engine_packets.Packet(engine_packets.Type.MESSAGE, data)
        session.transport.write(binary_frame(data) if binary else text_frame(engine_packets.encode_text(packet)))


class SocketEcho(PacketOwner):
    """Connects to namespaces, and answers their events."""

    def __init__(self) -> None:
        super().__init__(MAX_PAYLOAD, CONNECT_SECONDS)
        self._namespaces: set[str] = set()
        """Those to which the session is connected."""
        self._auths: list[bytes] = []
        """Events `auth` that wait for their moment."""

    def packet(self, session: Session, packet: Packet) -> None:
        """Handle a packet."""
        self._emit_auths(session)
        name = packet.namespace
        match packet.type:
            case Type.CONNECT if name not in NAMESPACES:
                session.transport.write(frames(Packet(Type.CONNECT_ERROR, name, data=INVALID_NAMESPACE)))
            case Type.CONNECT:
                self.stop_waiting()
                self._namespaces.add(name)
                connected = Packet(Type.CONNECT, name, data=msgspec.json.encode({"sid": secrets.token_hex(8)}))
                session.transport.write(frames(connected))
                self._auths.append(frames(Packet(Type.EVENT, name, data=b'["auth",' + (packet.data or b"{}") + b"]")))
                asyncio.get_running_loop().call_later(APART_SECONDS, self._emit_auths, session)
            case Type.DISCONNECT:
                self._namespaces.discard(name)
            case Type.EVENT | Type.BINARY_EVENT if name in self._namespaces:
                self._answer(session, packet)
            case Type.ACK | Type.BINARY_ACK:
                pass
            case _:
                session.close(Close.MALFORMED_FRAME)

    def _emit_auths(self, session: Session) -> None:
        auths, self._auths = self._auths, []
        if auths and session.closing is None:
            session.transport.write(b"".join(auths))

    def _answer(self, session: Session, packet: Packet) -> None:
        try:
            event, *arguments = with_attachments(packet)
        except engine_packets.MalformedPacketError:
            session.close(Close.MALFORMED_FRAME)
            return
        if event == "message":
            data, attachments = without_attachments(["message-back", *arguments])
            kind, number = (Type.BINARY_EVENT if attachments else Type.EVENT), None
        elif event == "message-with-ack" and packet.id is not None:
            data, attachments = without_attachments(arguments)
            kind, number = (Type.BINARY_ACK if attachments else Type.ACK), packet.id
        else:
            return
        session.transport.write(frames(Packet(kind, packet.namespace, number, data, attachments)))


class EchoDoor:
    """Lets every client in."""

    def __init__(self, owner: type[EngineEcho | SocketEcho]) -> None:
        self._owner = owner

    async def admit(self, handshake: Handshake) -> tuple[Owner, Bucket]:
        """Let a client in."""
        del handshake
        return self._owner(), Bucket(_UNBOUNDED, _UNBOUNDED)

    async def check(self, session: Session, handshake: Handshake) -> None:
        """Allow every request."""


def make_engines(heartbeat: Heartbeat, group: asyncio.TaskGroup) -> dict[str, Engine]:
    """The two endpoints, by path."""
    return {
        path: Engine(EchoDoor(owner), "echo", heartbeat=heartbeat, max_payload=MAX_PAYLOAD, group=group, listener=EchoListener)
        for path, owner in (("/engine.io/", EngineEcho), ("/socket.io/", SocketEcho))
    }


def listen(port: int) -> list[socket.socket]:
    """Sockets on this machine's own addresses; port 0 chooses a free one."""
    listening = [bind(Address("127.0.0.1", port))]
    with suppress(OSError):  # a machine without IPv6
        listening.append(bind(Address("::1", listening[0].getsockname()[1])))
    return listening


async def serve(engines: Mapping[str, Engine], listening: list[socket.socket], stopping: asyncio.Event) -> None:
    """Serve until `stopping` is set."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if (engine := engines.get(scope["path"])) is not None:
            await engine(scope, receive, send)
        else:
            await send({"type": "http.response.start", "status": 404, "headers": [(b"content-length", b"0")]})
            await send({"type": "http.response.body"})

    upgrades = {path.encode(): engine.begin for path, engine in engines.items()}
    server = make_server(app, upgrades, served=lambda _name: True, capacity=Capacity(CONNECTIONS))
    async with asyncio.TaskGroup() as group:
        group.create_task(server.serve(sockets=listening))
        await stopping.wait()
        for engine in engines.values():
            engine.close(Close.RESTARTING)
        server.should_exit = True


async def main() -> None:
    """Serve until SIGTERM or Ctrl-C."""
    parser = argparse.ArgumentParser(prog="python -m gateway.socketio.conformance", description=__doc__)
    parser.add_argument("--port", type=int, default=3000)
    parser.add_argument("--heartbeat", choices=HEARTBEATS, default="fast")
    chosen = parser.parse_args()
    stopping = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    async with asyncio.TaskGroup() as group:
        await serve(make_engines(HEARTBEATS[chosen.heartbeat], group), listen(chosen.port), stopping)


if __name__ == "__main__":
    uvloop.run(main())

"""A gateway's hub with sockets in one channel, without bus and network, for tests that count."""

import asyncio
import contextlib
import socket
import time
from collections.abc import Iterator

from gateway.hub.hub import Hub
from gateway.identity.identity import Identity
from gateway.protocol.outgoing import Place
from gateway.rates.bucket import Bucket
from gateway.wire.framing import WEBSOCKET
from gateway.wire.registry import Registry
from hubbub.events.v1.events_pb2 import Event, EventKind

TENANT = "guard"
CHANNEL = "01900000-0000-7000-8000-000000000000"
PAYLOAD = b'{"type":"event","channel":"%s","seq":1,"data":{"text":"%s"}}' % (CHANNEL.encode(), b"x" * 200)


class CountingTransport(asyncio.Transport):
    """Counts the bytes that the socket's own send has left over."""

    def __init__(self) -> None:
        super().__init__()
        self.writes = 0
        self.size = 0

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.writes += 1
        self.size += len(data)

    def get_write_buffer_size(self) -> int:
        return 0

    def is_closing(self) -> bool:
        return False


class Room:
    """A hub with one channel and one receiving socket for each member."""

    def __init__(self) -> None:
        self.registry = Registry("guard", 60)
        self.hub = Hub(self.registry)
        self._transports: list[CountingTransport] = []
        self._ends: list[socket.socket] = []
        """The receiving ends, with one packet for each send."""
        self._open = contextlib.ExitStack()
        self._seq = 0
        self.writes = 0
        """Number of writes to all sockets up to the last `read`."""
        self.size = 0
        """Number of bytes in these writes."""
        self.left_over = 0
        """Number of writes that transports made."""

    @classmethod
    @contextlib.contextmanager
    def of(cls, size: int) -> Iterator["Room"]:
        """Open a room with `size` members; the sockets close after the block."""
        room = cls()
        with room._open:
            for number in range(size):
                room.open(f"user-{number}", CHANNEL)
            yield room

    def say(self, count: int = 1) -> None:
        """Deliver `count` posts from the bus within one tick of the loop."""
        for _ in range(count):
            self._seq += 1
            kind = EventKind.EVENT_KIND_MESSAGE_POSTED
            self.hub.take(Event(tenant=TENANT, channel=CHANNEL, seq=self._seq, kind=kind, payload=PAYLOAD))

    async def until_written(self) -> None:
        """Return when everything is with the sockets."""
        await self.registry.writer.flushed()

    def read(self) -> None:
        """Read and count what has arrived."""
        for end in self._ends:
            with contextlib.suppress(BlockingIOError):
                while True:
                    self.size += len(end.recv(1 << 20, socket.MSG_DONTWAIT))
                    self.writes += 1
        for transport in self._transports:
            self.size += transport.size
            self.writes += transport.writes
            self.left_over += transport.writes
            transport.size = transport.writes = 0

    def open(self, user: str, channel: str) -> None:
        """Open a socket of `user`, a member of `channel`, and let it receive."""
        identity = Identity(TENANT, user, "", (), 0.0, time.time() + 3600)
        connection = self.registry.add(identity, WEBSOCKET, Bucket(100, 100))
        near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._open.enter_context(near)
        self._ends.append(self._open.enter_context(far))
        connection.transport = CountingTransport()
        connection.file = near.fileno()
        self._transports.append(connection.transport)
        with self.hub.recent.load() as load:
            self.hub.open(connection, [Place(channel, self._seq, 0)], load)
        connection.flowing = True
        self.hub.channels[channel].place(connection, self._seq)

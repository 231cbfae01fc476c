"""A gateway's hub with sockets in one channel, without bus and network: what the guards count in."""

import asyncio
import time

from gateway.connection import Identity
from gateway.inbound.limits import Bucket
from gateway.outbound.frames import ChannelView
from gateway.roster import Roster
from hubbub.events.v1.events_pb2 import Event, EventKind

TENANT = "guard"
CHANNEL = "01900000-0000-7000-8000-000000000000"
PAYLOAD = b'{"type":"event","channel":"%s","seq":1,"data":{"text":"%s"}}' % (CHANNEL.encode(), b"x" * 200)


class CountingTransport(asyncio.Transport):
    """Where a socket's bytes end: they are counted and forgotten, as the kernel would take them."""

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
    """A hub with one channel in which `size` users have a socket each that receives."""

    def __init__(self, size: int) -> None:
        self.roster = Roster("guard", 60)
        self.transports = [CountingTransport() for _ in range(size)]
        self._seq = 0
        for number, transport in enumerate(self.transports):
            self.open(f"user-{number}", CHANNEL, transport)

    def say(self, count: int = 1) -> None:
        """Let the bus bring posts, within one tick of the loop."""
        for _ in range(count):
            self._seq += 1
            kind = EventKind.EVENT_KIND_MESSAGE_POSTED
            self.roster.hub.take(Event(tenant=TENANT, channel=CHANNEL, seq=self._seq, kind=kind, payload=PAYLOAD))

    @property
    def writes(self) -> int:
        """How many writes all sockets had."""
        return sum(transport.writes for transport in self.transports)

    @property
    def size(self) -> int:
        """How many bytes all sockets were given."""
        return sum(transport.size for transport in self.transports)

    async def until_written(self) -> None:
        """Return when everything is with the transports."""
        await self.roster.outbox.flushed()

    def open(self, user: str, channel: str, transport: CountingTransport) -> None:
        """Open a socket of `user`, who is in `channel`, and let it receive."""
        identity = Identity(TENANT, user, "", (), 0.0, time.time() + 3600)
        connection = self.roster.admit(identity, Bucket(100, 100))
        connection.transport = transport
        with self.roster.recent.load(0) as load:
            self.roster.hub.open(connection, [ChannelView(channel, "group", "", "member", self._seq, 0)], load)
        connection.flowing = True
        self.roster.hub.place(self.roster.hub.channels[channel], connection, self._seq)

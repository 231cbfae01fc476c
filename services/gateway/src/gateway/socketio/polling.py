"""The transport of a session that polls: holds what is written until a request fetches it.

It holds the very bytes that a WebSocket would be sent, framed, so that they are framed once for all sessions, and a session that
upgrades sends the rest as it is. A request takes at most `PACKETS`. Everything that writes to a `Connection` sees a transport
like any other: it pauses while bytes are held, and its buffer has a size.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

from gateway.socketio import engine_packets
from gateway.socketio.engine_packets import Packet, Type
from gateway.wire.framing import unframed

PACKETS = 16
"""Packets in one answer. python-engineio refuses an answer with more, and asks at once for the rest."""
LINGER_SECONDS = 1.0
"""For a request that is on its way to fetch how the session ended."""


class PollingOwner(Protocol):
    """What a polling transport tells its session."""

    def pause_writing(self) -> None:
        """Bytes are held that no request has fetched."""

    def resume_writing(self) -> None:
        """Nothing is held."""

    def polling_ended(self) -> None:
        """The transport is closed: the last bytes were fetched, or dropped."""


class Polling(asyncio.Transport):
    """Bytes for the requests of one session."""

    def __init__(self, owner: PollingOwner) -> None:
        super().__init__()
        self._owner: PollingOwner | None = owner
        """None once the transport is closed or replaced."""
        self._held = bytearray()
        """Frames that no request has fetched."""
        self._request: asyncio.Future[None] | None = None
        """Resolved when the waiting request can be answered; None if no request waits."""
        self._fetched = asyncio.get_running_loop().time()
        """When a request was last answered."""
        self._closing = False
        """The transport is closed once everything is fetched."""
        self._releasing = False
        """Requests are answered at once."""

    @property
    def waiting(self) -> bool:
        """Whether a request waits."""
        return self._request is not None

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Hold frames for the next request. Dropped after the end."""
        if self._owner is None or not data:
            return
        self._held += data
        self._owner.pause_writing()
        self._wake()

    def get_write_buffer_size(self) -> int:
        """Bytes held."""
        return len(self._held)

    def is_closing(self) -> bool:
        """Whether nothing more can be written."""
        return self._closing or self._owner is None

    def close(self) -> None:
        """End once a request has fetched what is held, or no request comes for that in time."""
        if not self._closing and self._owner is not None:
            self._closing = True
            self._wake()
            asyncio.get_running_loop().call_later(LINGER_SECONDS, self.abort)

    def abort(self) -> None:
        """End now."""
        owner, self._owner = self._owner, None
        self._held.clear()
        self._wake()
        if owner is not None:
            owner.polling_ended()

    def release(self) -> bytes:
        """End in favour of another transport, which is to send what is returned."""
        held = bytes(self._held)
        self._held.clear()
        self._owner = None
        self._wake()
        return held

    @property
    def silent_seconds(self) -> float:
        """For how long no request has polled."""
        return 0.0 if self.waiting else asyncio.get_running_loop().time() - self._fetched

    @property
    def ready(self) -> bool:
        """Whether a request is answered at once."""
        return bool(self._held) or self._releasing or self.is_closing()

    async def poll(self) -> bytes:
        """Wait until the request can be answered, and return the payload of its answer. One request at a time."""
        self._request = asyncio.get_running_loop().create_future()
        try:
            await self._request
        finally:
            self._request = None
        return self.take()

    def begin_release(self) -> None:
        """Answer every request at once from now on, because the session is about to leave this transport."""
        self._releasing = True
        self._wake()

    def cancel_release(self) -> None:
        """The session stays on this transport."""
        self._releasing = False

    def _wake(self) -> None:
        if self._request is not None and not self._request.done():
            self._request.set_result(None)

    def take(self) -> bytes:
        """Take the payload for a request; a `noop` if nothing is held."""
        self._fetched = asyncio.get_running_loop().time()
        packets: list[Packet] = []
        position = 0
        while position < len(self._held) and len(packets) < PACKETS:
            frame = unframed(self._held, position)
            if frame.is_text:
                packets.append(engine_packets.decode_text(frame.payload))
            elif frame.is_binary:
                packets.append(Packet(Type.MESSAGE, frame.payload, binary=True))
            elif packets:  # the close frame, alone: stock clients drop what comes with it
                break
            else:
                packets.append(Packet(Type.CLOSE))
                self._closing = True
            position = frame.end
        del self._held[:position]
        owner = self._owner
        if owner is not None and not self._held:
            if self._closing:
                self.abort()
            else:
                owner.resume_writing()
        return engine_packets.encode_payload(packets or [Packet(Type.NOOP)])

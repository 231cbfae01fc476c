"""Joins everything that goes to a socket within one tick of the loop into one write, and bounds what a slow reader may cost.

No event loop joins writes by itself, and the kernel's `send` is the cost of a delivery: whoever has something to say
adds it to the socket's backlog, and a round writes the backlogs out, in the same tick. A round of more than a slice of
sockets lets the loop go on between slices, and is followed by a rest twice as long, within a bound: what comes meanwhile is
joined, so that a hot room leaves the loop time for others. What a frame says, and to whom, is `hub`'s.

A slice is sent in one call (`sendmany`), past the transports: to a socket whose transport holds nothing unsent (else it is
`paused`) and which has not been lost (else it has no backlog), so that its file descriptor is its own and its bytes keep
their order. What cannot be sent so is given to the transport.

Bounds: whoever brings many frames waits until what is queued has gone (`paced`); behind a backlog the transport holds what
the peer has not read yet. A socket with more than `UNREAD_BYTES` there is closed with 4002 and cut off if it does not read
the rest in time.

While the gateway is cut off from decisions about users (`tenure`) nothing is written: it is held back, within a bound.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable

import structlog

from chassis.metrics import DEFECTS
from gateway.connection import NOWHERE, Backlog, Connection
from gateway.metrics import WRITES, WRITTEN_BYTES
from sendmany import send_each

log = structlog.get_logger()
UNREAD_BYTES = 1024 * 1024
"""What the transport may hold for one peer."""
LITTLE_BYTES = 64 * 1024
"""What a transport may hold for a peer that counts as reading."""
SLICE = 256
"""Sockets written before others get their turn."""
REST = 2
"""How much longer a rest is than the round before it."""
REST_SECONDS = 0.02
"""The longest rest."""
QUEUED_FRAMES = 20_000
"""Frames queued, counted per socket, beyond which `paced` waits."""
SLOW_CONSUMER = 4002
REVOKED = 4501
HELD_BYTES = UNREAD_BYTES
"""What one socket may be held back; more is a slow consumer, whoever is at fault."""
HELD_SECONDS = 0.02
"""Between two looks whether what is held back may go."""


class Outbox:
    """The way of every byte to every socket."""

    def __init__(self, on_slow: Callable[[Connection], None], cut_off: Callable[[], bool] = lambda: False) -> None:
        self._on_slow = on_slow
        """Called with a socket past its bound; closes it."""
        self._cut_off = cut_off
        """Whether everything must be held back at this moment."""
        self.on_held: Callable[[Iterable[Connection]], None] = lambda _connections: None
        """Called again and again with the sockets that are held back."""
        self._dirty: list[Connection] = []
        """Sockets with a backlog, each once, that the round under way does not reach."""
        self._round: list[Connection] = []
        """Those that it has yet to reach, in reverse."""
        self._round_began = 0.0
        self._rest_until = 0.0
        """Loop time, both."""
        self._queued = 0
        """Frames put into backlogs since the last round began, about."""
        self._loop = asyncio.get_running_loop()
        self._scheduled = False
        self._flushed: asyncio.Future[None] | None = None
        """Resolved when no backlog is left, for whoever waits."""

    def send(self, connection: Connection, frame: bytes) -> None:
        """Queue one frame for one socket; nothing once it is closing."""
        if connection.closing:
            return
        backlog = connection.backlog
        if backlog is None:
            connection.backlog = frame
            self._dirty.append(connection)
            if not self._scheduled:
                self._schedule()
        else:
            connection.backlog = (backlog, frame)

    def answer(self, connection: Connection, frame: bytes) -> None:
        """Queue a frame that may be left out: who does not read gets none piled up."""
        transport = connection.transport
        if connection.paused and transport is not None and transport.get_write_buffer_size() > LITTLE_BYTES:
            return
        self.send(connection, frame)

    def broadcast(self, connections: Collection[Connection], frame: bytes) -> None:
        """Queue one frame for many sockets, none of which is closing: the hub holds open ones only."""
        self._queued += len(connections)
        dirty = self._dirty
        last: Backlog | None = None
        longer: Backlog = frame
        for connection in connections:
            backlog = connection.backlog
            if backlog is None:
                connection.backlog = frame
                dirty.append(connection)
                continue
            if backlog is not last:  # in a room most have been given the same
                last, longer = backlog, (backlog, frame)
            connection.backlog = longer
        if dirty and not self._scheduled:
            self._schedule()

    async def paced(self) -> None:
        """Return at once while there is room for more, else once there is: the pace of whoever brings many frames."""
        if self._queued >= QUEUED_FRAMES:
            await self.flushed()

    async def flushed(self) -> None:
        """Return once every backlog is with its transport."""
        if not self._dirty and not self._round:
            return
        if self._flushed is None:
            self._flushed = self._loop.create_future()
        await asyncio.shield(self._flushed)

    async def drained(self, connection: Connection, seconds: float) -> None:
        """Return once the socket's peer has read enough to be given more; raises `TimeoutError`, and returns when it closes."""
        await self.flushed()
        if not connection.paused or connection.closing:
            return
        if connection.resumed is None:
            connection.resumed = self._loop.create_future()
        async with asyncio.timeout(seconds):
            await asyncio.shield(connection.resumed)

    def finish(self, connection: Connection, code: int, last: bytes) -> None:
        """Write the backlog, unless it must not go, and the last bytes now; nothing of ours goes out afterwards."""
        backlog = None if code == REVOKED or self._cut_off() else connection.backlog
        connection.backlog = None
        connection.closing = code
        if connection.transport is not None and not connection.transport.is_closing():
            connection.transport.write(last if backlog is None else joined((backlog, last)))

    def release(self, connections: Iterable[Connection]) -> None:
        """Write these sockets' backlogs now, although others are held back."""
        for connection in connections:
            if connection.backlog is not None and connection.transport is not None:
                connection.transport.write(joined(connection.backlog))
                connection.backlog = None
                WRITES.inc()

    def _schedule(self) -> None:
        self._scheduled = True
        self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        """Write a slice of the round, or of a new one; come back when more is left."""
        if self._cut_off():
            self._hold()
            return
        if not self._round and not self._begin_round():
            return
        due = self._round[-SLICE:]
        del self._round[-SLICE:]
        self._write(reversed(due))
        if self._round or self._dirty:
            self._loop.call_soon(self._flush)
        else:
            self._scheduled = False
        if not self._round:
            self._end_round()

    def _begin_round(self) -> bool:
        """Have all backlogs written; False while a rest puts that off."""
        now = self._loop.time()
        if now < self._rest_until and len(self._dirty) > SLICE:
            self._loop.call_at(self._rest_until, self._flush)
            return False
        self._round, self._dirty = self._dirty[::-1], []
        self._round_began = now
        self._queued = 0
        return True

    def _end_round(self) -> None:
        now = self._loop.time()
        self._rest_until = now + min(REST * (now - self._round_began), REST_SECONDS)
        self._tell_flushed()

    def _write(self, due: Iterable[Connection]) -> None:
        last: Backlog | None = None
        chunk = b""
        size = 0
        connections: list[Connection] = []
        files: list[int] = []
        chunks: list[bytes] = []
        for connection in due:
            backlog = connection.backlog
            if backlog is None:  # released, or lost meanwhile
                continue
            connection.backlog = None
            if backlog is not last:
                last, chunk = backlog, joined(backlog)
            connections.append(connection)
            files.append(NOWHERE if connection.paused else connection.file)
            chunks.append(chunk)
            size += len(chunk)
        for index, sent in send_each(files, chunks):
            self._give(connections[index], chunks[index][sent:])
        WRITES.inc(len(chunks))
        WRITTEN_BYTES.inc(size)

    def _give(self, connection: Connection, rest: bytes) -> None:
        """Have the transport send what the socket did not take at once."""
        transport = connection.transport
        if transport is None:
            return
        try:
            transport.write(rest)
        except Exception as error:  # a callback of the loop's: one socket's trouble must not silence the others
            DEFECTS.labels("write").inc()
            log.exception("write_failed", connection=connection.id, error=type(error).__name__)
            transport.abort()
            return
        if connection.paused and transport.get_write_buffer_size() > UNREAD_BYTES:
            self._on_slow(connection)

    def _hold(self) -> None:
        held = [*reversed(self._round), *self._dirty]
        last: Backlog | None = None
        whole = b""
        for connection in held:
            backlog = connection.backlog
            if backlog is None:  # released, or ended
                continue
            if backlog is not last:
                last, whole = backlog, joined(backlog)
            connection.backlog = whole
            if len(whole) > HELD_BYTES:
                self._on_slow(connection)
        self._round, self._dirty = [], [each for each in held if each.backlog is not None]
        if self._dirty:
            self._loop.call_later(HELD_SECONDS, self._flush)
            self.on_held(self._dirty)
        else:
            self._scheduled = False
        self._tell_flushed()

    def _tell_flushed(self) -> None:
        if not self._dirty and not self._round and self._flushed is not None:
            self._flushed.set_result(None)
            self._flushed = None


def joined(backlog: Backlog) -> bytes:
    """All frames of a backlog as one write."""
    frames = []
    while isinstance(backlog, tuple):
        backlog, frame = backlog
        frames.append(frame)
    if not frames:
        return backlog
    frames.append(backlog)
    frames.reverse()
    return b"".join(frames)

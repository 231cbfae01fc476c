"""Writes payloads to connections: joins everything queued within one tick into one write, and bounds the cost of a slow reader.

The kernel's `send` is the main cost of a delivery, and no event loop joins writes by itself. So a payload is added to its
connection's backlog, and a flush writes the backlogs in the same tick. Connections with the same queue share one backlog, which
is framed once for each kind of client (`model.Wire`). A flush of more than a slice of connections yields to the loop between
slices and is followed by a pause twice as long, within a bound; what is queued meanwhile is joined.

A slice is sent in one call (`sendmany`), past the transports. That is safe for a connection whose transport holds nothing unsent
(otherwise it is `paused`) and which is not lost (otherwise it has no backlog): its file descriptor is its own, and its bytes keep
their order. What the socket does not take at once goes to the transport.

Bounds: a producer of many payloads waits until the queues are flushed (`paced`). A connection with more than `UNREAD_BYTES` in
its transport is a slow consumer: it is closed, and aborted if it does not read the rest in time.

While the gateway has no valid lease (`revocation.lease`), backlogs are held, within a bound. Only pongs and refusals that this
gateway decided are written, and only while the bus is away (`send_unheld`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable

import structlog

from chassis.metrics import DEFECTS
from gateway.metrics import WRITES, WRITTEN_BYTES
from gateway.model import NO_FILE, Backlog, Connection, Framed, Wire
from gateway.protocol.close_codes import Close
from sendmany import send_each

log = structlog.get_logger()
UNREAD_BYTES = 1024 * 1024
"""Bytes that a transport may hold for one client."""
LITTLE_BYTES = 64 * 1024
"""Bytes that a transport may hold before optional answers are left out."""
SLICE = 256
"""Connections written before the loop runs other callbacks."""
REST = 2
"""Length of the pause after a flush, as a multiple of the flush."""
REST_SECONDS = 0.02
"""The longest pause."""
QUEUED_PAYLOADS = 20_000
"""Payloads queued, counted per connection, beyond which `paced` waits."""
HELD_BYTES = UNREAD_BYTES
"""Bytes that may be held for one connection while the gateway has no lease."""
HELD_SECONDS = 0.02
"""Between two checks whether held backlogs may be written."""


class Writer:
    """The path of every byte to every connection."""

    def __init__(self, close: Callable[[Connection, Close], None], cut_off: Callable[[], bool] = lambda: False) -> None:
        self._close = close
        self._cut_off = cut_off
        """Whether everything must be held at this moment."""
        self.on_held: Callable[[Iterable[Connection]], None] = lambda _connections: None
        """Called repeatedly with the connections whose backlogs are held, and with those sent something nevertheless."""
        self.bus_away: Callable[[], bool] = lambda: False
        """Whether the lease cannot be renewed."""
        self._dirty: list[Connection] = []
        """Connections queued for the next flush, without duplicates."""
        self._flushing: list[Connection] = []
        """Connections that the present flush has yet to write, in reverse."""
        self._began = 0.0
        """When the present flush began, in loop time."""
        self._rest_until = 0.0
        """When the pause after the last flush ends, in loop time."""
        self._queued = 0
        """Payloads queued since the last flush began, approximately."""
        self._loop = asyncio.get_running_loop()
        self._scheduled = False
        self._flushed: asyncio.Future[None] | None = None
        """Resolved when no backlog is left; None if no task waits for that."""

    def send(self, connection: Connection, payload: bytes) -> None:
        """Queue a payload for one connection; ignored once the connection is closing."""
        if connection.closing is not None:
            return
        backlog = connection.backlog
        connection.backlog = (backlog, payload)
        if backlog is None:
            self._dirty.append(connection)
            if not self._scheduled:
                self._schedule()

    def answer(self, connection: Connection, payload: bytes) -> None:
        """Queue an optional payload, unless the client does not read: then it is left out rather than piled up."""
        transport = connection.transport
        if connection.paused and transport is not None and transport.get_write_buffer_size() > LITTLE_BYTES:
            return
        self.send_unheld(connection, payload)

    def send_unheld(self, connection: Connection, payload: bytes) -> None:
        """Queue a payload that tells only about the connection and its own frames. While the bus is away it is not held.

        A gateway that has merely been paused holds it: its lease is valid again in a moment.
        """
        if not self._cut_off() or not self.bus_away():
            self.send(connection, payload)
        elif connection.closing is None:
            self._give(connection, connection.wire.join([payload]))
            self.on_held([connection])

    def broadcast(self, connections: Collection[Connection], payload: bytes) -> None:
        """Queue a payload for many connections, none of which may be closing: the hub holds open ones only."""
        self._queued += len(connections)
        dirty = self._dirty
        alone: Backlog = (None, payload)
        last, longer = None, alone
        for connection in connections:
            backlog = connection.backlog
            if backlog is None:
                connection.backlog = alone
                dirty.append(connection)
                continue
            if backlog is not last:  # in a channel most connections have the same backlog
                last, longer = backlog, (backlog, payload)
            connection.backlog = longer
        if dirty and not self._scheduled:
            self._schedule()

    async def paced(self) -> None:
        """Wait until there is room for more payloads; return at once if there is. For producers of many payloads."""
        if self._queued >= QUEUED_PAYLOADS:
            await self.flushed()

    async def flushed(self) -> None:
        """Return once every backlog is with its transport."""
        if not self._dirty and not self._flushing:
            return
        if self._flushed is None:
            self._flushed = self._loop.create_future()
        await asyncio.shield(self._flushed)

    async def drained(self, connection: Connection, seconds: float) -> None:
        """Return once the client has read what was written, or the connection closes. Raises `TimeoutError`."""
        await self.flushed()
        if not connection.paused or connection.closing is not None:
            return
        if connection.resumed is None:
            connection.resumed = self._loop.create_future()
        async with asyncio.timeout(seconds):
            await asyncio.shield(connection.resumed)

    def finish(self, connection: Connection, reason: Close, last: bytes) -> None:
        """Write the backlog, then `last` (framed), and nothing afterwards. After a revocation the backlog is dropped."""
        backlog = self.forget(connection)
        connection.closing = reason
        if backlog is not None and not (reason is Close.REVOKED or self._cut_off()):
            last = backlog + last
        if connection.transport is not None and not connection.transport.is_closing():
            connection.transport.write(last)

    def forget(self, connection: Connection) -> bytes | None:
        """Take what is queued for a connection that ends, framed; its trail has it, as if it had been written."""
        backlog, connection.backlog = connection.backlog, None
        if backlog is None:
            return None
        chunk = _joined(connection.wire, backlog)
        _note(connection, chunk)
        return chunk

    def release(self, connections: Iterable[Connection]) -> None:
        """Write these connections' backlogs now, although others are held."""
        for connection in connections:
            if connection.backlog is not None and connection.transport is not None:
                chunk = _joined(connection.wire, connection.backlog)
                _note(connection, chunk)
                connection.transport.write(chunk)
                connection.backlog = None
                WRITES.inc()

    def _schedule(self) -> None:
        self._scheduled = True
        self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        """Write a slice of the present flush, or of a new one; run again if more is left."""
        if self._cut_off():
            self._hold()
            return
        if not self._flushing and not self._begin_flush():
            return
        due = self._flushing[-SLICE:]
        del self._flushing[-SLICE:]
        self._write(reversed(due))
        if self._flushing or self._dirty:
            self._loop.call_soon(self._flush)
        else:
            self._scheduled = False
        if not self._flushing:
            self._end_flush()

    def _begin_flush(self) -> bool:
        """Take all queued connections; False while the pause after the last flush lasts."""
        now = self._loop.time()
        if now < self._rest_until and len(self._dirty) > SLICE:
            self._loop.call_at(self._rest_until, self._flush)
            return False
        self._flushing, self._dirty = self._dirty[::-1], []
        self._began = now
        self._queued = 0
        return True

    def _end_flush(self) -> None:
        now = self._loop.time()
        self._rest_until = now + min(REST * (now - self._began), REST_SECONDS)
        self._notify_flushed()

    def _write(self, due: Iterable[Connection]) -> None:
        join = _Joiner()
        last: Backlog | None = None
        wire: Wire | None = None
        chunk = b""
        size = 0
        connections: list[Connection] = []
        files: list[int] = []
        chunks: list[bytes] = []
        for connection in due:
            backlog = connection.backlog
            if backlog is None:  # released, or the connection has ended
                continue
            connection.backlog = None
            if backlog is not last or connection.wire is not wire:
                last, wire = backlog, connection.wire
                chunk = join(wire, backlog)
            if connection.trail is not None:
                _note(connection, chunk)
            connections.append(connection)
            files.append(NO_FILE if connection.paused else connection.file)
            chunks.append(chunk)
            size += len(chunk)
        for index, sent in send_each(files, chunks):
            self._give(connections[index], chunks[index][sent:])
        WRITES.inc(len(chunks))
        WRITTEN_BYTES.inc(size)

    def _give(self, connection: Connection, rest: bytes) -> None:
        """Hand to the transport what the socket did not take at once."""
        transport = connection.transport
        if transport is None:
            return
        try:
            transport.write(rest)
        except Exception as error:  # in a callback of the loop: one connection's defect must not silence the others
            DEFECTS.labels("write").inc()
            log.exception("write_failed", connection=connection.id, error=type(error).__name__)
            transport.abort()
            return
        if connection.paused and transport.get_write_buffer_size() > UNREAD_BYTES:
            self._close(connection, Close.SLOW_CONSUMER)

    def _hold(self) -> None:
        join = _Joiner()
        held = [*reversed(self._flushing), *self._dirty]
        for connection in held:
            backlog = connection.backlog
            if backlog is None:  # released, or the connection has ended
                continue
            if backlog[0] is not None:
                chunk = join(connection.wire, backlog)
                backlog = connection.backlog = (None, chunk if isinstance(chunk, Framed) else Framed(chunk))
            if len(backlog[1]) > HELD_BYTES:
                self._close(connection, Close.SLOW_CONSUMER)
        self._flushing, self._dirty = [], [each for each in held if each.backlog is not None]
        if self._dirty:
            self._loop.call_later(HELD_SECONDS, self._flush)
            self.on_held(self._dirty)
        else:
            self._scheduled = False
        self._notify_flushed()

    def _notify_flushed(self) -> None:
        if not self._dirty and not self._flushing and self._flushed is not None:
            self._flushed.set_result(None)
            self._flushed = None


class _Joiner:
    """Frames each backlog once for each kind of client, as long as equal backlogs follow each other."""

    __slots__ = ("_last",)

    def __init__(self) -> None:
        self._last: dict[Wire, tuple[Backlog, bytes]] = {}

    def __call__(self, wire: Wire, backlog: Backlog) -> bytes:
        last = self._last.get(wire)
        if last is None or last[0] is not backlog:
            last = self._last[wire] = (backlog, _joined(wire, backlog))
        return last[1]


def _note(connection: Connection, chunk: bytes) -> None:
    """Add what was written to the connection's trail, if it has one."""
    if connection.trail is not None and isinstance(chunk, Framed) and chunk.marks:
        connection.trail.add(chunk.marks)


def _joined(wire: Wire, backlog: Backlog) -> bytes:
    """All payloads of a backlog, framed, as one write."""
    payloads = []
    rest: Backlog | None = backlog
    while rest is not None:
        rest, payload = rest
        payloads.append(payload)
    payloads.reverse()
    return wire.join(payloads)

"""Closes connections that are silent or whose token has expired, without a timer for each.

Each connection is in the bucket of the second in which it can first be due. In that second it is examined, and closed or moved
to the next second in which it can be due. A frame only stores the current second in its connection, so traffic costs nothing.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from gateway.model import Connection
from gateway.protocol.close_codes import Close

NEVER = 1 << 40
"""A second that does not come."""


class Sweep:
    """Connections by the second in which they are due."""

    def __init__(self, silence_seconds: int, close: Callable[[Connection, Close], None]) -> None:
        self._silence_seconds = silence_seconds
        self._close = close
        self._buckets: dict[int, set[Connection]] = {}
        self._to_abort: dict[int, set[asyncio.Transport]] = {}
        """Transports to abort, by the second."""
        self.now = int(time.monotonic())
        """The current second, on the monotonic clock."""

    def watch(self, connection: Connection) -> None:
        """Examine the connection when it is due, until `forget`."""
        connection.due = self._due(connection)
        self._buckets.setdefault(connection.due, set()).add(connection)

    def forget(self, connection: Connection) -> None:
        """Drop a connection that has ended, so that short connections do not pile up in later buckets."""
        if (bucket := self._buckets.get(connection.due)) is not None:
            bucket.discard(connection)

    def abort_later(self, transport: asyncio.Transport, seconds: int) -> None:
        """Abort the transport after so many seconds, unless it is closed by then."""
        self._to_abort.setdefault(self.now + seconds, set()).add(transport)

    async def run(self) -> None:
        """Advance every second, forever."""
        while True:
            await asyncio.sleep(1.0)
            self.advance(int(time.monotonic()))

    def advance(self, now: int) -> None:
        """Advance the clock to `now`."""
        while self.now < now:
            self.now += 1
            for transport in self._to_abort.pop(self.now, ()):
                transport.abort()
            for connection in self._buckets.pop(self.now, ()):
                self._examine(connection)

    def _examine(self, connection: Connection) -> None:
        if connection.closing or connection.transport is None:
            return
        if self.now - connection.last_frame >= self._silence_seconds:
            self._close(connection, Close.NO_HEARTBEAT)
        elif connection.identity.expires_at <= time.time():
            self._close(connection, Close.TOKEN_EXPIRED)
        else:
            self.watch(connection)

    def _due(self, connection: Connection) -> int:
        silent = connection.last_frame + self._silence_seconds
        expired = self.now + int(min(connection.identity.expires_at - time.time(), NEVER)) + 1
        return max(self.now + 1, min(silent, expired))

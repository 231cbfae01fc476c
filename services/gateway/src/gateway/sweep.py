"""Closes sockets that went silent (4003) or whose token has ended (4001), without a timer per socket.

Each socket lies in the bucket of the second in which it can first be due. When that second comes it is looked at: closed,
or laid where it can next be due. A frame only writes the current second into the socket, so talking costs nothing.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from gateway.connection import Connection

TOKEN_EXPIRED = 4001
NO_HEARTBEAT = 4003
_NEVER = 1 << 40


class Sweep:
    """Sockets by the second in which they are due."""

    def __init__(self, silence_seconds: int, close: Callable[[Connection, int], None]) -> None:
        self._silence_seconds = silence_seconds
        self._close = close
        self._buckets: dict[int, set[Connection]] = {}
        self._lingering: dict[int, set[asyncio.Transport]] = {}
        """Transports to cut off."""
        self.now = int(time.monotonic())
        """The current second, for whoever stamps a socket."""

    def watch(self, connection: Connection) -> None:
        """Close the socket when it is due, unless it is forgotten before."""
        connection.due = self._due(connection)
        self._buckets.setdefault(connection.due, set()).add(connection)

    def forget(self, connection: Connection) -> None:
        """The socket has ended: hold nothing of it, so that whoever comes and goes all the time leaves nothing behind."""
        if (bucket := self._buckets.get(connection.due)) is not None:
            bucket.discard(connection)

    def cut_off(self, transport: asyncio.Transport, seconds: int) -> None:
        """Abort the transport unless it is closed by then."""
        self._lingering.setdefault(self.now + seconds, set()).add(transport)

    async def run(self) -> None:
        """Look every second, for ever."""
        while True:
            await asyncio.sleep(1.0)
            self.advance(int(time.monotonic()))

    def advance(self, now: int) -> None:
        """Let time pass up to `now`."""
        while self.now < now:
            self.now += 1
            for transport in self._lingering.pop(self.now, ()):
                transport.abort()
            for connection in self._buckets.pop(self.now, ()):
                self._look_at(connection)

    def _look_at(self, connection: Connection) -> None:
        if connection.closing or connection.transport is None:
            return
        if self.now - connection.heard >= self._silence_seconds:
            self._close(connection, NO_HEARTBEAT)
        elif connection.identity.expires_at <= time.time():
            self._close(connection, TOKEN_EXPIRED)
        else:
            self.watch(connection)

    def _due(self, connection: Connection) -> int:
        silent = connection.heard + self._silence_seconds
        expired = self.now + int(min(connection.identity.expires_at - time.time(), _NEVER)) + 1
        return max(self.now + 1, min(silent, expired))

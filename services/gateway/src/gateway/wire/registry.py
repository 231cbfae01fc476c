"""Owns every connection of this gateway, from admission to its end, and the users behind them.

A connection ends in one place, `close`: its queued frames and a close code are written, and it leaves every other part at once
(`on_end`). Its transport is aborted if the client does not finish the closing handshake in time.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable

import structlog

from gateway.identity.identity import Identity
from gateway.metrics import CLOSED, CONNECTIONS
from gateway.model import NO_FILE, Account, Connection, Wire
from gateway.protocol.close_codes import Close, metric_label
from gateway.rates.bucket import Bucket
from gateway.wire.sweep import Sweep
from gateway.wire.writer import Writer

log = structlog.get_logger()
CLOSING_SECONDS = 5
"""For the client's half of the closing handshake."""
FLOODING_SECONDS = 2
"""For a client that floods to read its close code; nothing of it is read meanwhile."""
UNREAD_SECONDS = 15
"""Time for a slow consumer to read the bytes written so far, the close code last."""


class Registry:
    """All connections."""

    def __init__(self, gateway: str, silence_seconds: int, cut_off: Callable[[], bool] = lambda: False) -> None:
        self._gateway = gateway
        self._numbers = itertools.count(1)
        self.connections: dict[str, Connection] = {}
        """By id."""
        self.accounts: dict[tuple[str, str], Account] = {}
        """By tenant and user."""
        self.writer = Writer(self.close, cut_off)
        self.sweep = Sweep(silence_seconds, self.close)
        self.on_open: list[Callable[[Connection], None]] = []
        """Called once with each connection that has opened."""
        self.before_end: list[Callable[[Connection], None]] = []
        """Called once with each connection that ends, while it stands in its channels."""
        self.on_end: list[Callable[[Connection], None]] = []
        """Called once with each connection that ends, after its account has lost it."""

    def add(self, identity: Identity, wire: Wire, bucket: Bucket) -> Connection:
        """Register a connection that is about to be upgraded."""
        key = (identity.tenant, identity.user)
        account = self.accounts.get(key)
        if account is None:
            account = self.accounts[key] = Account(*key)
        connection = Connection(
            f"{self._gateway}-{next(self._numbers):x}", identity, account, wire, bucket=bucket, last_frame=self.sweep.now
        )
        account.connections.add(connection)
        self.connections[connection.id] = connection
        CONNECTIONS.set(len(self.connections))
        return connection

    def opened(self, connection: Connection) -> None:
        """The connection is in the hub, and `hello` is queued."""
        self.sweep.watch(connection)
        for notify in self.on_open:
            notify(connection)

    def close(self, connection: Connection, reason: Close) -> None:
        """End a connection in any state. Does nothing if it has ended."""
        if connection.closing is not None:
            return
        seconds = UNREAD_SECONDS if reason is Close.SLOW_CONSUMER or connection.paused else CLOSING_SECONDS
        if reason is Close.FLOODING:
            seconds = FLOODING_SECONDS
        self.writer.finish(connection, reason, connection.wire.close(reason))
        if connection.transport is not None:
            self.sweep.abort_later(connection.transport, seconds)
        self._end(connection, reason.code)

    def closed_by_client(self, connection: Connection, code: int, answer: bytes) -> None:
        """The client closes, with `code` or without one (0): write what is queued and then `answer`, and end."""
        if connection.closing is not None:
            return
        self.writer.finish(connection, Close.BY_CLIENT, answer)
        if connection.transport is not None:
            connection.transport.close()
        self._end(connection, code or Close.BY_CLIENT.code)

    def broken(self, connection: Connection, reason: Close) -> None:
        """Picows writes a close frame next, because of what the client sent: write what is queued, and nothing after it."""
        if connection.closing is None:
            self.writer.finish(connection, reason, b"")
            self._end(connection, reason.code)
        elif connection.transport is not None:
            connection.transport.close()  # a close frame was written already; there must be only one

    def gone(self, connection: Connection) -> None:
        """The transport is closed."""
        if connection.closing is None:
            connection.closing = Close.VANISHED
            self.writer.forget(connection)
            self._end(connection, Close.VANISHED.code)
        connection.file = NO_FILE  # the transport closes the file as soon as this returns

    def _end(self, connection: Connection, code: int) -> None:
        for notify in self.before_end:
            notify(connection)
        self.sweep.forget(connection)
        del self.connections[connection.id]
        account = connection.account
        account.connections.discard(connection)
        if not account.connections:
            self.accounts.pop((account.tenant, account.user), None)
        for queue in (connection.flow, connection.sending):
            if queue is not None:
                queue.cancel()
        if connection.resumed is not None and not connection.resumed.done():
            connection.resumed.set_result(None)
        for notify in self.on_end:
            notify(connection)
        CONNECTIONS.set(len(self.connections))
        CLOSED.labels(metric_label(code)).inc()
        log.info(
            "connection_closed",
            connection=connection.id,
            tenant=account.tenant,
            user=account.user,
            code=code,
            commands=connection.commands,
            seconds=round(time.time() - connection.opened_at, 1),
        )

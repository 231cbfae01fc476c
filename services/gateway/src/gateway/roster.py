"""Owns who is connected: every socket of this gateway from its admission to its end, and the users behind them.

A socket ends in one place, `close`: its last frames and a close code are written, and it is out of the hub at once, so that
a closing socket costs nothing. Its transport is cut off if the peer does not finish the closing handshake in time.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable

import structlog

from gateway.connection import NOWHERE, Account, Connection, Identity
from gateway.inbound.limits import Bucket
from gateway.metrics import CLOSED, CONNECTIONS, close_label
from gateway.outbound.hub import Hub
from gateway.outbound.outbox import SLOW_CONSUMER, Outbox
from gateway.outbound.recent import Recent
from gateway.outbound.wire import close_frame
from gateway.sweep import Sweep

log = structlog.get_logger()
CLOSING_SECONDS = 5
"""For the peer's half of the closing handshake."""
UNREAD_SECONDS = 15
"""For a slow consumer to read what it was sent before, the close code last."""
NORMAL = 1000
REASONS = {
    1002: "protocol error",
    1003: "text frames only",
    1007: "not UTF-8",
    1009: "frame too large",
    1011: "internal error",
    1012: "server restarting",
    4001: "token expired",
    4002: "slow consumer",
    4003: "no heartbeat",
    4004: "flooding",
    4005: "resync needed",
    4501: "access revoked",
    4502: "malformed frame",
    4503: "too many connections",
}


class Roster:
    """Everybody who is connected here."""

    def __init__(self, gateway: str, silence_seconds: int, cut_off: Callable[[], bool] = lambda: False) -> None:
        self._gateway = gateway
        self._numbers = itertools.count(1)
        self.connections: dict[str, Connection] = {}
        """By id."""
        self.accounts: dict[tuple[str, str], Account] = {}
        """By tenant and user."""
        self.outbox = Outbox(self._slow, cut_off)
        self.recent = Recent()
        self.hub = Hub(self.outbox, self.recent, self.accounts, self.close)
        self.sweep = Sweep(silence_seconds, self.close)
        self.on_open: list[Callable[[Connection], None]] = []
        """Called with each socket that has opened, once."""
        self.on_end: list[Callable[[Connection], None]] = []
        """Called with each socket that ends, once."""

    def admit(self, identity: Identity, bucket: Bucket) -> Connection:
        """Know a socket that is about to be upgraded."""
        key = (identity.tenant, identity.user)
        account = self.accounts.get(key)
        if account is None:
            account = self.accounts[key] = Account(*key)
        connection = Connection(f"{self._gateway}-{next(self._numbers):x}", identity, account, bucket, self.sweep.now)
        account.connections.add(connection)
        self.connections[connection.id] = connection
        CONNECTIONS.set(len(self.connections))
        return connection

    def opened(self, connection: Connection) -> None:
        """The socket is in place and has been greeted."""
        self.sweep.watch(connection)
        for told in self.on_open:
            told(connection)

    def close(self, connection: Connection, code: int) -> None:
        """End a socket with a close code, whatever it is doing; nothing happens where it has ended."""
        if connection.closing:
            return
        self.outbox.finish(connection, code, close_frame(code, REASONS.get(code, "")))
        if connection.transport is not None:
            slow = code == SLOW_CONSUMER or connection.paused
            self.sweep.cut_off(connection.transport, UNREAD_SECONDS if slow else CLOSING_SECONDS)
        self._end(connection)

    def left(self, connection: Connection, code: int) -> None:
        """The peer closes, with a code or without one (0): it gets what was under way, its close back, and the end."""
        if connection.closing:
            return
        self.outbox.finish(connection, code or NORMAL, close_frame(code))
        if connection.transport is not None:
            connection.transport.close()
        self._end(connection)

    def broken(self, connection: Connection, code: int) -> None:
        """A close frame of picows' follows for what the peer sent: what was under way goes first, and nothing after it."""
        if not connection.closing:
            self.outbox.finish(connection, code, b"")
            self._end(connection)
        elif connection.transport is not None:
            connection.transport.close()  # there has been a close frame: no second one

    def gone(self, connection: Connection) -> None:
        """The peer has vanished."""
        if not connection.closing:
            connection.closing = -1
            connection.backlog = None  # there is nobody to write it to, and trying raises
            self._end(connection)
        connection.file = NOWHERE  # the transport closes it as soon as this returns

    def _slow(self, connection: Connection) -> None:
        self.close(connection, SLOW_CONSUMER)

    def _end(self, connection: Connection) -> None:
        self.hub.drop(connection)
        self.sweep.forget(connection)
        del self.connections[connection.id]
        account = connection.account
        if not account.connections:
            self.accounts.pop((account.tenant, account.user), None)
        for lane in (connection.flow, connection.sending):
            if lane is not None:
                lane.cancel()
        if connection.resumed is not None and not connection.resumed.done():
            connection.resumed.set_result(None)
        for told in self.on_end:
            told(connection)
        code = max(connection.closing, 0)
        CONNECTIONS.set(len(self.connections))
        CLOSED.labels(close_label(code)).inc()
        log.info(
            "connection_closed",
            connection=connection.id,
            tenant=account.tenant,
            user=account.user,
            code=code,
            commands=connection.commands,
            seconds=round(time.time() - connection.opened_at, 1),
        )

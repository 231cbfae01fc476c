"""Opens a session: loads it, puts it into the hub, and says `hello`. See `outbound.hub` for why this leaves no hole."""

from __future__ import annotations

from collections.abc import Callable

import structlog

from chassis.errors import Unavailable
from gateway.config import Config
from gateway.connection import Connection, Identity
from gateway.control import Control
from gateway.convert import channel_view
from gateway.inbound.limits import Bucket
from gateway.inbound.reading import FRAME_BYTES, TEXT_BYTES
from gateway.outbound.audit import Audit
from gateway.outbound.frames import Hello, Limits, encode
from gateway.roster import Roster
from gateway.session import Sessions
from hubbub.messages.v1.messages_service_pb2 import Session

log = structlog.get_logger()
SYNC_EVENTS = 1_000
TOO_MANY_CONNECTIONS = 4503
ATTEMPTS = 3
"""Loads of one session, each outdated by a decision about some user."""
HandOver = Callable[[Connection], bool]
"""Gives a connection its transport; False when the client is gone."""


class Opening:
    """How sockets start."""

    def __init__(self, config: Config, roster: Roster, *, sessions: Sessions, audit: Audit, control: Control) -> None:
        self._roster = roster
        self._sessions = sessions
        self._audit = audit
        self._control = control
        self._heartbeat_seconds = config.heartbeat_seconds
        self.limits = Limits(
            FRAME_BYTES, TEXT_BYTES, SYNC_EVENTS, config.sends_per_second, config.burst, config.connections_per_user
        )
        self.losses = 0
        """How often the bus has lost entries."""

    async def open(self, identity: Identity, hand_over: HandOver) -> None:
        """Start a socket for a verified bearer. Raises `NotAuthenticated`, `Unavailable`: then nothing has been started."""
        with self._roster.recent.load(self.losses) as load:
            session = await self._load(identity)
            if load.expired:
                raise Unavailable
            bucket = Bucket(self.limits.sends_per_second, self.limits.burst)
            connection = self._roster.admit(identity, bucket)
            if not hand_over(connection):
                self._roster.gone(connection)
                return
            channels = self._roster.hub.open(connection, map(channel_view, session.channels), load)
            if load.losses != self.losses:  # what was lost may have come after the snapshot
                self._audit.suspect(channel.id for channel in channels)
                self._control.doubt(connection.account)
        hello = Hello(connection.id, identity.user, identity.tenant, self._heartbeat_seconds, self.limits, channels)
        self._roster.outbox.send(connection, encode(hello))
        self._roster.opened(connection)
        log.info("connection_opened", connection=connection.id)
        if len(connection.account.connections) > self.limits.connections:
            self._roster.close(connection, TOO_MANY_CONNECTIONS)

    async def _load(self, identity: Identity) -> Session:
        """A session than which no decision carried out here is newer: that would have missed the socket."""
        for _attempt in range(ATTEMPTS):
            decisions = self._control.carried_out
            session = await self._sessions.load(identity)
            if decisions == self._control.carried_out:
                return session
        raise Unavailable

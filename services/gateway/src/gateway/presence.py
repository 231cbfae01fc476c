"""Reports this gateway's sockets to the presence service and tells its clients of the users they watch.

One stream for the whole gateway: a change goes at once, those that follow it closely go as one message, of a socket or user
only the latest. When the stream breaks it is opened again with the gateway's whole state. While presence is away `watch` is
answered later, and nothing else notices.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Iterable

import grpc
import structlog

from gateway import convert
from gateway.backoff import FIRST_SECONDS, LONGEST_SECONDS
from gateway.connection import Account, Connection
from gateway.metrics import PRESENCE_ATTACHED
from gateway.outbound import frames
from gateway.outbound.outbox import Outbox
from hubbub.presence.v1.presence_pb2 import Presence, UserRef
from hubbub.presence.v1.presence_service_pb2 import AttachRequest, ConnectionChange, Lease
from hubbub.presence.v1.presence_service_pb2_grpc import PresenceServiceStub

log = structlog.get_logger()
_User = tuple[str, str]
"""Tenant and user id."""
_BATCH = 5_000
"""Changes in one message."""
_GATHER_SECONDS = 0.02
"""Between two messages: a message costs both ends as much as many changes."""


class Presences:
    """Who is here, and who wants to know."""

    def __init__(self, outbox: Outbox, presence: PresenceServiceStub, gateway: str) -> None:
        self._outbox = outbox
        self._presence = presence
        self._gateway = gateway
        self._statuses: dict[str, tuple[Account, str]] = {}
        """User and status of each socket, by its id."""
        self._watchers: dict[_User, set[Connection]] = {}
        """Sockets that watch a user."""
        self._known: dict[_User, bytes] = {}
        """The last `presence` frame about each watched user."""
        self._changed: dict[str, ConnectionChange] = {}
        """By socket: what has not been reported."""
        self._rewatched: dict[_User, bool] = {}
        """By user: whether to watch, where that has not been said."""
        self._wake = asyncio.Event()
        self._attaching = False
        """A stream is open, or being opened, that began with the whole state: only then there are changes to report."""

    def opened(self, connection: Connection) -> None:
        """A socket has come."""
        self.changed(connection, "online")

    def changed(self, connection: Connection, status: str) -> None:
        """A socket says how present its user is."""
        self._statuses[connection.id] = (connection.account, status)
        self._report(connection.id, connection.account, status)

    def ended(self, connection: Connection) -> None:
        """A socket has gone."""
        if self._statuses.pop(connection.id, None) is not None:
            self._report(connection.id, connection.account, "")
        self._unwatch(connection, connection.watched)

    def watch(self, connection: Connection, users: frozenset[str]) -> None:
        """Replace the users that a socket watches; what is known of each is sent at once, the rest when it is."""
        self._unwatch(connection, connection.watched - users)
        connection.watched = users
        for user in users:
            key = (connection.account.tenant, user)
            watchers = self._watchers.setdefault(key, set())
            if not watchers:
                self._rewatch(key, wanted=True)
            watchers.add(connection)
            if (frame := self._known.get(key)) is not None:
                self._outbox.send(connection, frame)

    async def run(self) -> None:
        """Stay attached, for ever."""
        pause = FIRST_SECONDS
        while True:
            try:
                async for answer in self._presence.Attach(self._requests()):
                    pause = FIRST_SECONDS
                    PRESENCE_ATTACHED.set(1)
                    self._tell(answer.presences)
                log.info("presence_detached", status="OK")
            except grpc.aio.AioRpcError as error:
                log.info("presence_detached", status=error.code().name)
            PRESENCE_ATTACHED.set(0)
            self._attaching = False
            self._changed, self._rewatched = {}, {}
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))
            pause = min(pause * 2, LONGEST_SECONDS)

    async def _requests(self) -> AsyncIterator[AttachRequest]:
        """The whole state, then what changes."""
        self._changed = {key: _change(key, *held) for key, held in self._statuses.items()}
        self._rewatched = dict.fromkeys(self._watchers, True)
        self._attaching = True
        request = self._take()
        request.lease.CopyFrom(Lease(gateway=self._gateway))
        yield request
        while True:
            await asyncio.sleep(_GATHER_SECONDS)
            if not self._changed and not self._rewatched:
                self._wake.clear()
                await self._wake.wait()
            yield self._take()

    def _take(self) -> AttachRequest:
        changes = [self._changed.pop(key) for key in list(self._changed)[:_BATCH]]
        users = {key: self._rewatched.pop(key) for key in list(self._rewatched)[:_BATCH]}
        return AttachRequest(
            changes=changes,
            watch=[UserRef(tenant=tenant, user=user) for (tenant, user), wanted in users.items() if wanted],
            unwatch=[UserRef(tenant=tenant, user=user) for (tenant, user), wanted in users.items() if not wanted],
        )

    def _tell(self, presences: Iterable[Presence]) -> None:
        for presence in presences:
            key = (presence.user.tenant, presence.user.user)
            watchers = self._watchers.get(key)
            if watchers is None:
                continue
            seen = convert.moment(presence.last_seen) if presence.HasField("last_seen") else None
            frame = frames.encode(frames.Presence(presence.user.user, presence.status, seen))
            if self._known.get(key) != frame:
                self._known[key] = frame
                self._outbox.broadcast(watchers, frame)

    def _report(self, connection_id: str, account: Account, status: str) -> None:
        if self._attaching:
            self._changed[connection_id] = _change(connection_id, account, status)
            self._wake.set()

    def _rewatch(self, key: _User, *, wanted: bool) -> None:
        if self._attaching:
            self._rewatched[key] = wanted
            self._wake.set()

    def _unwatch(self, connection: Connection, users: Iterable[str]) -> None:
        for user in users:
            key = (connection.account.tenant, user)
            watchers = self._watchers.get(key)
            if watchers is None:
                continue
            watchers.discard(connection)
            if not watchers:
                del self._watchers[key]
                self._known.pop(key, None)
                self._rewatch(key, wanted=False)


def _change(connection_id: str, account: Account, status: str) -> ConnectionChange:
    user = UserRef(tenant=account.tenant, user=account.user)
    return ConnectionChange(user=user, connection=connection_id, status=status)

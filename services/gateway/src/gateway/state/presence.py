"""Reports this gateway's connections to the presence service, and sends clients the presence of the users they watch.

There is one stream for the whole gateway. A change is sent at once; changes that follow closely are gathered in one message,
the latest of each connection or user. A stream that breaks is reopened with the gateway's whole state. While the presence
service is away, `watch` is answered later, and nothing else is affected.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable

import grpc
import structlog

from chassis.backoff import Backoff
from chassis.errors import TooLarge
from chassis.proto_enums import from_word, to_word
from gateway.metrics import PRESENCE_ATTACHED, PRESENCE_WATCHED
from gateway.model import Account, Connection
from gateway.protocol import outgoing
from gateway.wire.writer import Writer
from hubbub.presence.v1.presence_pb2 import Presence, Status, UserRef
from hubbub.presence.v1.presence_service_pb2 import AttachRequest, ConnectionChange, Lease
from hubbub.presence.v1.presence_service_pb2_grpc import PresenceServiceStub

log = structlog.get_logger()
_User = tuple[str, str]
"""Tenant and user id."""
USER_WATCHES = 1_000
"""Users whom one user may watch over all connections to this gateway."""
WATCHES = 400_000
"""Users who may be watched at this gateway: fewer than presence accepts (500,000), so that it never has to refuse one."""
TENANT_WATCHES = WATCHES // 2
"""Of these, users of one tenant."""
_BATCH = 5_000
"""Changes in one message."""
_GATHER_SECONDS = 0.02
"""Time to gather changes: a message costs both ends as much as many changes."""


class Presences:
    """Presence of local users, and the users that they watch."""

    def __init__(self, writer: Writer, presence: PresenceServiceStub, gateway: str) -> None:
        self._writer = writer
        self._presence = presence
        self._gateway = gateway
        self._statuses: dict[str, tuple[Account, str]] = {}
        """User and status of each connection, by its id."""
        self._watchers: dict[_User, set[Connection]] = {}
        """Connections that watch a user."""
        self._by_tenant: defaultdict[str, int] = defaultdict(int)
        """Number of watched users, by tenant."""
        self._known: dict[_User, bytes] = {}
        """The last `presence` payload of each watched user."""
        self._changed: dict[str, ConnectionChange] = {}
        """Changes to report, by connection id."""
        self._rewatched: dict[_User, bool] = {}
        """Watches to begin (True) or end, by user."""
        self._wake = asyncio.Event()
        self._attaching = False
        """A stream is open that began with the whole state: only then changes are recorded."""

    def opened(self, connection: Connection) -> None:
        """A connection opened."""
        self.changed(connection, "online")

    def changed(self, connection: Connection, status: str) -> None:
        """A client sent its user's status."""
        self._statuses[connection.id] = (connection.account, status)
        self._report(connection.id, connection.account, status)

    def status(self, connection: Connection) -> str:
        """The status that the client of a connection sent last."""
        return self._statuses[connection.id][1] if connection.id in self._statuses else "online"

    def ended(self, connection: Connection) -> None:
        """A connection ended."""
        if self._statuses.pop(connection.id, None) is not None:
            self._report(connection.id, connection.account, "")
        self._unwatch(connection, connection.watched)

    def watch(self, connection: Connection, users: frozenset[str]) -> None:
        """Replace the users that a connection watches. Known presence is sent at once, the rest when it arrives.

        Raises `TooLarge` at the bounds: then nothing has changed.
        """
        self._check_bounds(connection, users)
        self._unwatch(connection, connection.watched - users)
        connection.watched = users
        for user in users:
            self.place(connection, user)

    def place(self, connection: Connection, user: str) -> None:
        """Begin or end to send the presence of one watched user. One who has blocked the watcher appears offline."""
        tenant = connection.account.tenant
        key = (tenant, user)
        if not connection.account.may_watch(user):
            self._unwatch(connection, [user])
            self._writer.send(connection, outgoing.encode(outgoing.Presence(user, "offline")))
            return
        watchers = self._watchers.setdefault(key, set())
        if not watchers:
            self._by_tenant[tenant] += 1
            self._rewatch(key, wanted=True)
        watchers.add(connection)
        PRESENCE_WATCHED.set(len(self._watchers))
        if (payload := self._known.get(key)) is not None:
            self._writer.send(connection, payload)

    async def run(self) -> None:
        """Stay attached, forever."""
        backoff = Backoff()
        while True:
            try:
                async for answer in self._presence.Attach(self._requests()):
                    backoff.succeeded()
                    PRESENCE_ATTACHED.set(1)
                    self._send(answer.presences)
                log.info("presence_detached", status="OK")
            except grpc.aio.AioRpcError as error:
                log.info("presence_detached", status=error.code().name)
            PRESENCE_ATTACHED.set(0)
            self._attaching = False
            self._changed, self._rewatched = {}, {}
            await backoff.wait()

    async def _requests(self) -> AsyncIterator[AttachRequest]:
        """The whole state, then changes."""
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

    def _send(self, presences: Iterable[Presence]) -> None:
        for presence in presences:
            key = (presence.user.tenant, presence.user.user)
            watchers = self._watchers.get(key)
            if watchers is None:
                continue
            seen = outgoing.moment(presence.last_seen) if presence.HasField("last_seen") else None
            payload = outgoing.encode(outgoing.Presence(presence.user.user, to_word(Status, presence.status), seen))
            if self._known.get(key) != payload:
                self._known[key] = payload
                self._writer.broadcast(watchers, payload)

    def _report(self, connection_id: str, account: Account, status: str) -> None:
        if self._attaching:
            self._changed[connection_id] = _change(connection_id, account, status)
            self._wake.set()

    def _rewatch(self, key: _User, *, wanted: bool) -> None:
        if self._attaching:
            self._rewatched[key] = wanted
            self._wake.set()

    def _check_bounds(self, connection: Connection, users: frozenset[str]) -> None:
        tenant, others = connection.account.tenant, (each.watched for each in connection.account.connections - {connection})
        if len(users.union(*others)) > USER_WATCHES:
            raise TooLarge(f"At most {USER_WATCHES} users are watched, over all connections")
        dropped = sum(len(self._watchers[tenant, user]) == 1 for user in connection.watched - users)
        more = sum((tenant, user) not in self._watchers for user in users) - dropped
        if more > 0 and (len(self._watchers) + more > WATCHES or self._by_tenant.get(tenant, 0) + more > TENANT_WATCHES):
            raise TooLarge("Too many users are watched at this gateway")

    def _unwatch(self, connection: Connection, users: Iterable[str]) -> None:
        for user in users:
            key = (connection.account.tenant, user)
            watchers = self._watchers.get(key)
            if watchers is None:
                continue
            watchers.discard(connection)
            if not watchers:
                del self._watchers[key]
                self._by_tenant[key[0]] -= 1
                if not self._by_tenant[key[0]]:
                    del self._by_tenant[key[0]]
                self._known.pop(key, None)
                self._rewatch(key, wanted=False)
        PRESENCE_WATCHED.set(len(self._watchers))


def _change(connection_id: str, account: Account, status: str) -> ConnectionChange:
    user = UserRef(tenant=account.tenant, user=account.user)
    return ConnectionChange(user=user, connection=connection_id, status=from_word(Status, status))

"""Opens a connection: loads its session, puts it into the hub, and sends `hello`. `hub.hub` explains why this leaves no gap."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import structlog
from msgspec import UNSET, Raw

from chassis.errors import Unavailable
from chassis.rooms import NAMED_MEMBERS
from gateway.config import Config
from gateway.door.opening_loader import OpeningLoader
from gateway.hub.hub import Hub
from gateway.hub.reconcile import Reconciler
from gateway.identity.access_cache import AccessCache
from gateway.identity.identity import Identity
from gateway.identity.permission import require
from gateway.model import Connection, Wire
from gateway.protocol.close_codes import Close
from gateway.protocol.incoming import FRAME_BYTES, TEXT_BYTES
from gateway.protocol.outgoing import ChannelView, Hello, Limits, encode, places, started, views
from gateway.protocol.scopes import SOCKET
from gateway.rates.bucket import Bucket
from gateway.revocation.apply import Revocations
from gateway.wire.registry import Registry
from hubbub.messages.v1.messages_service_pb2 import Session

log = structlog.get_logger()
SYNC_EVENTS = 1_000
ATTEMPTS = 3
"""Loads of one session, each outdated by a revocation of its user or by a new epoch of the store."""
HandOver = Callable[[Connection], bool]
"""Gives a connection its transport; False if the client is gone."""
Greet = Callable[[Connection, Sequence[ChannelView]], bool]
"""Greets a client with the channels that `hello` would list; False if it is to get `hello`."""


class Opening:
    """Opens connections."""

    def __init__(
        self,
        config: Config,
        registry: Registry,
        hub: Hub,
        *,
        loader: OpeningLoader,
        reconciler: Reconciler,
        revocations: Revocations,
        access: AccessCache,
    ) -> None:
        self._registry = registry
        self._hub = hub
        self._loader = loader
        self._reconciler = reconciler
        self._revocations = revocations
        self._access = access
        self._heartbeat_seconds = config.heartbeat_seconds
        self.limits = Limits(
            FRAME_BYTES,
            TEXT_BYTES,
            SYNC_EVENTS,
            config.sends_per_second,
            config.burst,
            config.connections_per_user,
            NAMED_MEMBERS,
        )

    async def open(self, identity: Identity, wire: Wire, hand_over: HandOver, greet: Greet | None = None) -> None:
        """Open a connection for a verified user.

        Raises `NotAuthenticated`, `NotAllowed`, `Unavailable`: then nothing was opened.
        """
        require(identity, SOCKET)
        with self._hub.recent.load() as load:
            session = await self._load(identity)
            if load.expired:
                raise Unavailable
            bucket = Bucket(self.limits.sends_per_second, self.limits.burst)
            connection = self._registry.add(identity, wire, bucket)
            if not hand_over(connection):
                self._registry.gone(connection)
                return
            self._revocations.on_session(connection.account, session)
            differing = self._hub.open(connection, places(session.memberships), load)
            if load.lossy:
                self._reconciler.suspect(connection.account.channels)
                self._revocations.doubt(connection.account)
        channels = started(session.hello_channels, differing)
        if greet is None or not greet(connection, views(channels)):
            self._send_hello(connection, channels, more=session.more)
        self._registry.opened(connection)
        log.info("connection_opened", connection=connection.id)
        if sum(each.wire.counts(each) for each in connection.account.connections) > self.limits.connections:
            self._registry.close(connection, Close.TOO_MANY_CONNECTIONS)

    def _send_hello(self, connection: Connection, channels: Raw, *, more: bool) -> None:
        identity = connection.identity
        hello = Hello(
            connection.id,
            identity.user,
            identity.tenant,
            self._heartbeat_seconds,
            self.limits,
            channels,
            self._hub.epoch.id or UNSET,
            more or UNSET,
        )
        self._registry.writer.send_unheld(connection, encode(hello))  # the store has just admitted the user

    async def _load(self, identity: Identity) -> Session:
        """A session of the store's epoch, during whose load the user was not revoked, which would have missed this connection."""
        for _attempt in range(ATTEMPTS):
            applied = self._access.revocations
            loaded = await self._loader.load(identity)
            current = self._hub.epoch.accept(loaded.epoch, first=loaded.first_epoch)
            if current and not self._access.revoked_since(applied, identity):
                return loaded.session
        raise Unavailable

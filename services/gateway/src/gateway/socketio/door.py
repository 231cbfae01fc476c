"""Who may open a Socket.IO session, and by whose name it connects.

A session begins with a credential in its first request (`Authorization`, or a ticket), or without one: then `CONNECT` must carry
it within `CONNECT_SECONDS`, and an upgrade waits for that. Sessions whose client is not known yet are bounded per address.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from collections.abc import Callable, Sequence

from msgspec import Raw

from chassis.errors import Internal, NotAllowed, NotAuthenticated, RateLimited, TooLarge, Unavailable
from gateway.commands.dispatch import Dispatch
from gateway.door.opening import Opening
from gateway.door.upgrade import HANDSHAKE_COST, HANDSHAKE_SECONDS
from gateway.hub.epoch import StoreEpoch
from gateway.identity.authentication import Authenticator
from gateway.identity.identity import Identity
from gateway.identity.origin import may_use
from gateway.identity.tickets import Tickets
from gateway.metrics import RECOVERIES
from gateway.model import Connection
from gateway.protocol.close_codes import Close
from gateway.protocol.outgoing import ChannelView, Ref, encode, refusal
from gateway.rates.bucket import Bucket
from gateway.rates.shared import SharedRates
from gateway.socketio.client import CONNECT_SECONDS, Admission, Auth, Client
from gateway.socketio.handshake import Handshake, Transport
from gateway.socketio.held import State
from gateway.socketio.held import encode as encode_state
from gateway.socketio.recovery import Recovery
from gateway.socketio.resumption import resume
from gateway.socketio.session import Heartbeat, Owner, Session
from gateway.socketio.wire import SOCKET_IO
from gateway.state.presence import Presences
from gateway.supervise import guarded
from gateway.trail import Trail
from gateway.wire.registry import Registry

SOCKET_IO_PATH = "/socket.io/"
HEARTBEAT = Heartbeat(25.0, 20.0)
STRANGERS = 100
"""Sessions of one address whose client is not known yet."""
OFFSET_CHARACTERS = 128
NO_OFFSET = ""
"""In place of what cannot be an offset: no event has it."""
WATCH: Ref = Raw(b'["watch",null]')
"""The `ref` of a `watch` without a callback."""
REQUEST_COST = 0.2
"""Of a user's requests and of the session's rate, for each request of a session that polls."""


class SocketIoDoor(Admission):
    """Decides about sessions and connections."""

    def __init__(
        self,
        registry: Registry,
        opening: Opening,
        dispatch: Dispatch,
        *,
        group: asyncio.TaskGroup,
        authenticator: Authenticator,
        tickets: Tickets,
        rates: SharedRates,
        allowed_origins: frozenset[str],
        late_auth: bool,
        accepting: Callable[[], bool],
        recovery: Recovery,
        presences: Presences,
        epoch: StoreEpoch,
    ) -> None:
        self._registry = registry
        self._opening = opening
        self._dispatch = dispatch
        self._group = group
        self._authenticator = authenticator
        self._tickets = tickets
        self._rates = rates
        self._allowed_origins = allowed_origins
        self._late_auth = late_auth
        """A client that begins with a WebSocket may be known by its `CONNECT`."""
        self._accepting = accepting
        """False before the bus is followed, and during the drain."""
        self._strangers: Counter[str] = Counter()
        """Number of sessions whose client is not known yet, by address."""
        self._recovery = recovery
        self._presences = presences
        self._epoch = epoch
        self._clients: dict[Connection, Client] = {}
        self._by_pid: dict[str, Connection] = {}
        """Open connections whose sessions can be recovered."""
        registry.before_end.append(self._connection_ends)
        registry.on_end.append(self._connection_ended)
        recovery.on_claim = self._claimed

    # Sessions.

    async def admit(self, handshake: Handshake) -> tuple[Owner, Bucket]:
        """The owner of a new session. Raises `HubbubError`."""
        self._check_accepting()
        self._check_origin(handshake)
        address = self._address(handshake)
        shown = _credential(handshake)
        identity = await self._verify(shown, address) if shown else None
        if identity is not None:
            self._rates.request(identity.tenant, identity.user, HANDSHAKE_COST)
        elif handshake.transport is Transport.WEBSOCKET and not self._late_auth:
            raise NotAuthenticated
        elif self._strangers[address] >= STRANGERS:
            raise RateLimited("Too many sessions of this address have not connected", retry_after=CONNECT_SECONDS)
        else:
            self._strangers[address] += 1
        client = Client(self, self._registry, self._dispatch, identity=identity, shown=_digest(shown), address=address)
        return client, Bucket(self._opening.limits.sends_per_second, self._opening.limits.burst)

    async def check(self, session: Session, handshake: Handshake) -> None:
        """Check a later request of a session. Raises `HubbubError`."""
        client = session.owner
        assert isinstance(client, Client)  # noqa: S101 - by `admit`
        self._check_origin(handshake)
        shown = _credential(handshake)
        if shown and _digest(shown) != client.shown:
            identity = await self._verify(shown, client.address)
            known = client.identity
            if known is None or (identity.tenant, identity.user) != (known.tenant, known.user):
                raise NotAllowed("This session is another user's")
        session.charge(REQUEST_COST)
        if handshake.transport is Transport.WEBSOCKET and client.identity is None:
            await _until_known(client)
        elif client.identity is not None:
            self._rates.request(client.identity.tenant, client.identity.user, REQUEST_COST)

    def no_stranger(self, client: Client) -> None:
        """Count the sessions whose client is not known yet."""
        if client.stranger:
            self._strangers[client.address] -= 1
            if not self._strangers[client.address]:
                del self._strangers[client.address]

    # Connections.

    def start(self, client: Client, auth: Auth) -> None:
        """Decide about a `CONNECT`."""
        self._group.create_task(guarded("socketio_connect", client.connect(auth), lambda: client.refuse(Internal())))

    async def identify(self, client: Client, auth: Auth) -> Identity:
        """The identity by which a client connects: that of its first request, if that had one. Raises `HubbubError`."""
        self._check_accepting()
        shown = f"bearer {auth.token}" if auth.token is not None else f"ticket {auth.ticket}" if auth.ticket is not None else ""
        known = client.identity
        if not shown:
            if known is None:
                raise NotAuthenticated
            return known
        identity = await self._verify(shown, client.address)
        if known is None:
            self._rates.request(identity.tenant, identity.user, HANDSHAKE_COST)
            return identity
        if (identity.tenant, identity.user) != (known.tenant, known.user):
            raise NotAuthenticated
        return known

    async def open(self, client: Client, identity: Identity, auth: Auth) -> None:
        """Open the connection of a client, which may go on with an earlier session. Raises `HubbubError`, `TimeoutError`."""
        pid = await self._recovery.fetch(auth.pid, identity) if auth.pid is not None else ""
        offset = auth.offset
        if offset is not None and not (isinstance(offset, str) and len(offset) <= OFFSET_CHARACTERS):
            offset = NO_OFFSET
        state: State | None = None

        def hand_over(connection: Connection) -> bool:
            adopted = client.adopt(connection)
            if adopted:
                self._clients[connection] = client
            return adopted

        def greet(connection: Connection, views: Sequence[ChannelView]) -> bool:
            nonlocal state
            state = self._recovery.held.take(pid, identity.tenant, identity.user)
            most, epoch = self._opening.limits.sync_events, self._epoch.id
            found = resume(connection, state, offset, views=views, epoch=epoch, most_events=most) if state else None
            if auth.pid is not None:
                RECOVERIES.labels("recovered" if found else "refused" if state else "unknown").inc()
            trail = Trail(offset) if found else Trail(None, offset)
            client.greet(connection, pid if found else self._recovery.new_pid(), trail, recovered=found is not None)
            self._by_pid[client.pid] = connection
            client.epoch = epoch
            if found is None:
                return False
            for lost in found.left:
                self._registry.writer.send(connection, encode(lost))
            for gained in found.joined:
                self._registry.writer.send(connection, encode(gained))
            connection.waiting.update(found.starts)
            return True

        async with asyncio.timeout(HANDSHAKE_SECONDS):
            await self._opening.open(identity, SOCKET_IO, hand_over, greet)
        if state is not None and client.recovered and client.connection is not None:
            self._restore(client.connection, state)

    def _restore(self, connection: Connection, state: State) -> None:
        """What an earlier session had set: the users that it watched, and its status."""
        if connection.closing is not None:
            return
        self._presences.changed(connection, state.status)
        try:
            self._presences.watch(connection, frozenset(state.watched))
        except TooLarge as error:
            self._registry.writer.send(connection, refusal(error, WATCH))

    def _claimed(self, pid: str, tenant: str, user: str) -> None:
        """End the open connection of a session that its user claims."""
        connection = self._by_pid.get(pid)
        if connection is not None and (connection.account.tenant, connection.account.user) == (tenant, user):
            self._registry.close(connection, Close.BY_CLIENT)

    def _connection_ends(self, connection: Connection) -> None:
        """Keep the session of a connection whose client may come back."""
        client = self._clients.get(connection)
        if client is None or self._by_pid.pop(client.pid, None) is None:
            return
        reason = connection.closing
        if reason is None or not reason.reconnect or reason is Close.INTERNAL_ERROR:
            return
        state = State.of(connection, client.epoch, self._presences.status(connection))
        if state is not None:
            self._recovery.held.put(client.pid, encode_state(state))

    def _connection_ended(self, connection: Connection) -> None:
        client = self._clients.pop(connection, None)
        if client is not None and connection.closing is not None:
            client.connection_ended(connection.closing)

    # Credentials.

    def _check_accepting(self) -> None:
        if not self._accepting():
            raise Unavailable

    def _check_origin(self, handshake: Handshake) -> None:
        """Reject pages of other sites. A client that sends no `Origin` is not a browser."""
        origin = handshake.fields.get("origin")
        if origin is not None and not may_use(origin, handshake.fields.get("host", ""), self._allowed_origins):
            raise NotAllowed("This origin may not connect")

    def _address(self, handshake: Handshake) -> str:
        return self._rates.address(handshake.peer, handshake.fields.get("x-forwarded-for", ""))

    async def _verify(self, shown: str, address: str) -> Identity:
        """The identity of a credential. Raises `NotAuthenticated`, which is counted by address, and `Unavailable`."""
        kind, _, value = shown.partition(" ")
        try:
            match kind.lower():
                case "bearer":
                    return await self._authenticator.identify(value.strip())
                case "ticket":
                    return await self._tickets.redeem(value)
        except NotAuthenticated:
            self._rates.unauthenticated.take(address)
            raise
        raise NotAuthenticated


async def _until_known(client: Client) -> None:
    """Wait for the client's `CONNECT`. Raises `NotAuthenticated`."""
    try:
        if client.known is not None:
            async with asyncio.timeout(CONNECT_SECONDS):
                await client.known.wait()
    except TimeoutError:
        raise NotAuthenticated from None
    if client.connection is None:
        raise NotAuthenticated


def _digest(shown: str) -> bytes:
    return hashlib.sha256(shown.encode()).digest() if shown else b""


def _credential(handshake: Handshake) -> str:
    """What a request shows: the value of `Authorization`, or `ticket` and the ticket; empty if it shows nothing."""
    if {"token", "access_token", "authorization"} & handshake.query.keys():
        raise NotAuthenticated("A token has no place in an address")
    if (authorization := handshake.fields.get("authorization")) is not None:
        return authorization or "none"
    ticket = handshake.query.get("ticket")
    return "" if ticket is None else f"ticket {ticket}"

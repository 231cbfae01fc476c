"""Applies revocations: closes the connections of blocked and revoked users and of ended sessions, and drops cached admissions.

When the bus has lost entries, a revocation or a membership may have been missed: then every local user's session is opened
again and compared. While the gateway is cut off and cannot renew its lease, users with queued payloads are checked in the same
way, and receive them if the store still admits the user. `follow` receives the revocations.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence

import structlog

from chassis.backoff import Backoff
from chassis.errors import HubbubError
from chassis.grpc_client import call
from gateway.clients import CALL_SECONDS
from gateway.hub.hub import Hub
from gateway.identity.access_cache import AccessCache
from gateway.model import Account, Connection
from gateway.protocol.close_codes import Close
from gateway.protocol.outgoing import channel_view
from gateway.revocation.lease import GatewayLease
from gateway.wire.registry import Registry
from hubbub.events.v1.events_pb2 import Revocation
from hubbub.messages.v1.messages_service_pb2 import AdmitUserRequest, OpenSessionsRequest, OpenSessionsResponse
from hubbub.messages.v1.messages_service_pb2_grpc import MessagesServiceStub

log = structlog.get_logger()
CHUNK = 50
"""Users whose sessions are opened again by one call."""


class Revocations:
    """Applies revocations, and checks users about whom one may have been missed."""

    def __init__(
        self, hub: Hub, registry: Registry, access: AccessCache, messages: MessagesServiceStub, lease: GatewayLease
    ) -> None:
        self._hub = hub
        self._registry = registry
        self._access = access
        self._messages = messages
        self._lease = lease
        self._doubtful: dict[tuple[str, str], None] = {}
        """Users about whom a revocation or membership may have been missed."""
        self._wake = asyncio.Event()
        hub.on_doubt = self.doubt
        registry.writer.on_held = self._doubt_held

    def apply(self, revocation: Revocation) -> None:
        """Apply one revocation."""
        self._access.forget(revocation.tenant, revocation.user)
        account = self._registry.accounts.get((revocation.tenant, revocation.user))
        closed = 0
        for connection in tuple(account.connections) if account else ():
            identity = connection.identity
            if revocation.blocked or identity.issued_at < revocation.revoked_before or identity.session in revocation.sessions:
                self._registry.close(connection, Close.REVOKED)
                closed += 1
        log.info("revocation_applied", revocation=revocation.id, closed=closed)

    def doubt_all(self) -> None:
        """Check every user: entries may have been missed."""
        self._access.forget_all()
        for account in self._registry.accounts.values():
            self.doubt(account)

    def doubt(self, account: Account) -> None:
        """Check one user: entries may have been missed."""
        self._doubtful[account.tenant, account.user] = None
        self._wake.set()

    async def run(self) -> None:
        """Check users as doubts come, forever; retry while the messages service does not answer."""
        backoff = Backoff()
        while True:
            await self._wake.wait()
            chunk = [key for key, _ in zip(self._doubtful, range(CHUNK), strict=False)]
            for key in chunk:
                del self._doubtful[key]  # a doubt that comes during the check starts another
            try:
                await self._check([self._registry.accounts[key] for key in chunk if key in self._registry.accounts])
            except HubbubError:
                self._doubtful = dict.fromkeys(chunk) | self._doubtful
                await backoff.wait()
                continue
            backoff.succeeded()
            if not self._doubtful:
                self._wake.clear()
                self._lease.settled()

    def _doubt_held(self, connections: Iterable[Connection]) -> None:
        """The gateway is cut off and these have payloads queued: check their users unless the lease is about to be renewed."""
        if self._lease.alone:
            for connection in connections:
                self.doubt(connection.account)

    async def _check(self, accounts: Sequence[Account]) -> None:
        with self._hub.recent.load() as load:
            eldest = [min(account.connections, key=lambda each: each.identity.issued_at) for account in accounts]
            answer = await self._open(eldest)
            for account, session in zip(accounts, answer.sessions, strict=True):
                if session.reason or len({each.identity.session for each in account.connections}) > 1:
                    await self._close_revoked(account.connections)
                else:
                    self._registry.writer.release(account.connections)
                if not session.reason:
                    self._hub.compare(account, map(channel_view, session.channels), load)
                elif account.connections:
                    self.doubt(account)  # those that are left have not been compared yet

    async def _close_revoked(self, connections: Iterable[Connection]) -> None:
        """Close the connections whose own token or session is void: a user may hold several."""
        asked = list(connections)
        answer = await self._open(asked)
        for connection, session in zip(asked, answer.sessions, strict=True):
            if session.reason:
                self._registry.close(connection, Close.REVOKED)
            else:
                self._registry.writer.release([connection])

    async def _open(self, connections: Sequence[Connection]) -> OpenSessionsResponse:
        requests = [AdmitUserRequest(caller=each.identity.caller) for each in connections]
        answer: OpenSessionsResponse = await call(
            self._messages.OpenSessions, OpenSessionsRequest(sessions=requests), timeout=CALL_SECONDS
        )
        return answer

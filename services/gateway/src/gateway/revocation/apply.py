"""Applies revocations: closes the connections of blocked and revoked users and of ended sessions, and drops cached admissions.

When the bus has lost entries, two things may have been missed. A revocation: the store is asked whether it still admits each
local user (`run`), which reads one row per user. A membership: each user's session is opened again and compared (`reload`), which
reads all channels, and so begins after a random delay. While the gateway is cut off and cannot renew its lease, users with queued
payloads, and users who ping, are asked about in the first way. They receive what is queued if the store admits them. `follow`
receives the revocations.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable, Sequence
from itertools import islice

import structlog

from chassis.backoff import Backoff
from chassis.errors import HubbubError, Unavailable
from chassis.grpc_client import call
from gateway.clients import CALL_SECONDS
from gateway.hub.hub import Hub
from gateway.identity.access_cache import AccessCache
from gateway.model import Account, Connection
from gateway.protocol.close_codes import Close
from gateway.protocol.outgoing import places
from gateway.revocation.lease import GatewayLease
from gateway.wire.registry import Registry
from hubbub.events.v1.events_pb2 import PeerBlock, Revocation
from hubbub.messages.v1.messages_service_pb2 import AdmitUserRequest, OpenSessionsRequest, Session
from hubbub.messages.v1.messages_service_pb2_grpc import MessagesServiceStub

log = structlog.get_logger()
RELOADED = 50
"""Users whose sessions are opened again by one call."""
ASKED = 500
"""Users about whose admission one call asks."""
GATHER_SECONDS = 0.2
"""The longest delay before users are asked about: all gateways meet an outage of the bus at the same moment."""
RELOAD_SECONDS = 2.0
"""The longest delay before sessions are opened again."""


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
        self._unadmitted = _Queue()
        """Users about whom a revocation may have been missed."""
        self._doubtful = _Queue()
        """Users about whom a membership, or a revocation, may have been missed."""
        self._reload_at = 0.0
        """Loop time before which no session is opened again."""
        self.on_session: Callable[[Account, Session], None] = lambda _account, _session: None
        """Called with each session that was loaded for a local user."""
        self.on_block: Callable[[PeerBlock], None] = lambda _block: None
        """Called with each block between users."""
        hub.on_doubt = self.doubt
        registry.writer.on_held = self._doubt_held
        registry.writer.bus_away = lambda: lease.alone

    def apply(self, revocation: Revocation) -> None:
        """Apply one revocation, or the erasure of a user."""
        if revocation.erased:
            self._hub.tails.clear()
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
        self._reload_at = asyncio.get_running_loop().time() + random.uniform(0, RELOAD_SECONDS)
        self._unadmitted.add(self._registry.accounts.values())
        self._doubtful.add(self._registry.accounts.values())

    def doubt(self, account: Account) -> None:
        """Check one user: entries may have been missed."""
        self._doubtful.add((account,))

    async def run(self) -> None:
        """Ask about the admission of users as doubts come, forever; retry while the messages service does not answer."""
        backoff = Backoff()
        while True:
            await self._unadmitted.filled.wait()
            await asyncio.sleep(random.uniform(0, GATHER_SECONDS))
            while await self._check(self._unadmitted, ASKED, self._ask, backoff):
                pass
            self._lease.settled()

    async def reload(self) -> None:
        """Open sessions again as doubts come, forever; retry while the messages service does not answer."""
        backoff = Backoff()
        while True:
            await self._doubtful.filled.wait()
            await asyncio.sleep(self._reload_at - asyncio.get_running_loop().time())
            await self._check(self._doubtful, RELOADED, self._compare, backoff)

    def _doubt_held(self, connections: Iterable[Connection]) -> None:
        """The gateway is cut off and these use it: check their users unless the lease is about to be renewed."""
        if self._lease.alone:
            self._unadmitted.add(connection.account for connection in connections)

    async def _check(
        self, queue: _Queue, count: int, check: Callable[[Sequence[Account]], Awaitable[None]], backoff: Backoff
    ) -> bool:
        """Check some users of a queue; after a failure they are back in it. Return whether more wait."""
        chunk = queue.take(count)
        try:
            await check([self._registry.accounts[key] for key in chunk if key in self._registry.accounts])
        except HubbubError:
            queue.put_back(chunk)
            await backoff.wait()
        else:
            backoff.succeeded()
        return queue.filled.is_set()

    async def _ask(self, accounts: Sequence[Account]) -> None:
        await self._judge(accounts, await self._open(map(_eldest, accounts), admission_only=True))

    async def _compare(self, accounts: Sequence[Account]) -> None:
        with self._hub.recent.load() as load:
            sessions = await self._open(map(_eldest, accounts))
            await self._judge(accounts, sessions)
            for account, session in zip(accounts, sessions, strict=True):
                if not session.reason:
                    self.on_session(account, session)
                    self._hub.compare(account, places(session.memberships), load)
                elif account.connections:
                    self.doubt(account)  # those that are left have not been compared yet

    async def _judge(self, accounts: Sequence[Account], sessions: Sequence[Session]) -> None:
        """Release what is held for users who are admitted; ask about each connection of the others, and of several sessions."""
        asked: list[Connection] = []
        for account, session in zip(accounts, sessions, strict=True):
            if session.reason or len({each.identity.session for each in account.connections}) > 1:
                asked += account.connections
            else:
                self._registry.writer.release(account.connections)
        if not asked:
            return
        for connection, session in zip(asked, await self._open(asked, admission_only=True), strict=True):
            if session.reason:
                self._registry.close(connection, Close.REVOKED)
            else:
                self._registry.writer.release([connection])

    async def _open(self, connections: Iterable[Connection], *, admission_only: bool = False) -> list[Session]:
        requests = [AdmitUserRequest(caller=each.identity.caller) for each in connections]
        sessions: list[Session] = []
        while len(sessions) < len(requests):  # an answer has as many sessions as fit
            wanted = OpenSessionsRequest(sessions=requests[len(sessions) :], admission_only=admission_only)
            answer = await call(self._messages.OpenSessions, wanted, timeout=CALL_SECONDS)
            if not self._hub.epoch.accept(answer.epoch, first=answer.first_epoch):
                raise Unavailable
            sessions += answer.sessions
        return sessions


class _Queue:
    """Users to be checked, each once, oldest first."""

    def __init__(self) -> None:
        self._users: dict[tuple[str, str], None] = {}
        self.filled = asyncio.Event()
        """Set while there are users."""

    def add(self, accounts: Iterable[Account]) -> None:
        """Add users; one that is being checked is checked again."""
        self._users |= dict.fromkeys((account.tenant, account.user) for account in accounts)
        if self._users:
            self.filled.set()

    def take(self, count: int) -> list[tuple[str, str]]:
        """Remove and return the oldest users."""
        users = list(islice(self._users, count))
        for user in users:
            del self._users[user]
        if not self._users:
            self.filled.clear()
        return users

    def put_back(self, users: Iterable[tuple[str, str]]) -> None:
        """Add users that could not be checked, as the oldest."""
        self._users = dict.fromkeys(users) | self._users
        self.filled.set()


def _eldest(account: Account) -> Connection:
    """The connection with the oldest token: if that is admitted, so are the others."""
    return min(account.connections, key=lambda each: each.identity.issued_at)

"""Carries out decisions about users: closes the sockets of the blocked and revoked (4501) and forgets that they were let in.

After a loss of the bus a decision, or a membership, may have been missed; then every local user's session is opened again and
compared. While the gateway is cut off (`tenure`) and alone, whoever has something to be sent is asked about in the same way, and
is sent it when the store says that the user may still come in. How decisions come here is `decisions`' matter.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterable, Sequence

import structlog

from chassis.errors import HubbubError
from chassis.grpc_client import call
from gateway.admission import Admission
from gateway.backoff import FIRST_SECONDS, LONGEST_SECONDS
from gateway.clients import CALL_SECONDS
from gateway.connection import Account, Connection
from gateway.convert import channel_view
from gateway.outbound.outbox import REVOKED
from gateway.roster import Roster
from gateway.tenure import Tenure
from hubbub.events.v1.events_pb2 import Revocation
from hubbub.messages.v1.messages_service_pb2 import AdmitUserRequest, OpenSessionsRequest, OpenSessionsResponse
from hubbub.messages.v1.messages_service_pb2_grpc import MessagesServiceStub

log = structlog.get_logger()
CHUNK = 50
"""Users whose sessions are opened again by one call."""


class Control:
    """Decisions about users."""

    def __init__(self, roster: Roster, admission: Admission, messages: MessagesServiceStub, tenure: Tenure) -> None:
        self._roster = roster
        self._admission = admission
        self._messages = messages
        self._tenure = tenure
        self.carried_out = 0
        """How many decisions have been; whoever asks the store about a user sees whether one has come meanwhile."""
        self._doubtful: dict[tuple[str, str], None] = {}
        """Users about whom something may have been missed."""
        self._wake = asyncio.Event()
        roster.hub.on_doubt = self.doubt

    def decided(self, control: Revocation) -> None:
        """Carry one decision out."""
        self.carried_out += 1
        self._admission.forget(control.tenant, control.user)
        account = self._roster.accounts.get((control.tenant, control.user))
        closed = 0
        for connection in tuple(account.connections) if account else ():
            if control.blocked or connection.identity.issued_at < control.revoked_before:
                self._roster.close(connection, REVOKED)
                closed += 1
        log.info("control_carried_out", control=control.id, closed=closed)

    def doubt_all(self) -> None:
        """Something may have been missed about anybody."""
        self._admission.forget_all()
        for account in self._roster.accounts.values():
            self.doubt(account)

    def doubt(self, account: Account) -> None:
        """Something may have been missed about a user."""
        self._doubtful[account.tenant, account.user] = None
        self._wake.set()

    def held(self, connections: Iterable[Connection]) -> None:
        """These have something to be sent and the gateway is cut off: ask about their users unless that ends by itself soon."""
        if self._tenure.alone:
            for connection in connections:
                self.doubt(connection.account)

    async def run(self) -> None:
        """Settle doubts as they come, for ever; a service that does not answer is asked again."""
        pause = FIRST_SECONDS
        while True:
            await self._wake.wait()
            chunk = [key for key, _ in zip(self._doubtful, range(CHUNK), strict=False)]
            for key in chunk:
                del self._doubtful[key]  # whoever is doubted again while being asked about is asked about again
            try:
                await self._settle([self._roster.accounts[key] for key in chunk if key in self._roster.accounts])
            except HubbubError:
                self._doubtful = dict.fromkeys(chunk) | self._doubtful
                await asyncio.sleep(pause * random.uniform(0.5, 1.0))
                pause = min(pause * 2, LONGEST_SECONDS)
                continue
            pause = FIRST_SECONDS
            if not self._doubtful:
                self._wake.clear()
                self._tenure.settled()

    async def _settle(self, accounts: Sequence[Account]) -> None:
        with self._roster.recent.load(0) as load:
            eldest = [min(account.connections, key=lambda each: each.identity.issued_at) for account in accounts]
            answer = await self._open(eldest)
            for account, session in zip(accounts, answer.sessions, strict=True):
                if session.reason:
                    await self._close_void(account.connections)
                else:
                    self._roster.outbox.release(account.connections)
                    self._roster.hub.compare(account, map(channel_view, session.channels), load)

    async def _close_void(self, connections: Iterable[Connection]) -> None:
        """Close those whose own token is void: one user may hold older and newer ones."""
        asked = list(connections)
        answer = await self._open(asked)
        for connection, session in zip(asked, answer.sessions, strict=True):
            if session.reason:
                self._roster.close(connection, REVOKED)
            else:
                self._roster.outbox.release([connection])

    async def _open(self, connections: Sequence[Connection]) -> OpenSessionsResponse:
        requests = [AdmitUserRequest(caller=each.identity.caller) for each in connections]
        answer: OpenSessionsResponse = await call(
            self._messages.OpenSessions, OpenSessionsRequest(sessions=requests), timeout=CALL_SECONDS
        )
        return answer

"""Carries out decisions about users: closes the sockets of the blocked and revoked (4501) and forgets that they were let in.

After a loss of the bus a decision, or a membership, may have been missed; then every local user's session is opened again and
compared. Who must be told that a decision holds here is a later matter; its id is what they will ask for.
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
from gateway.roster import Roster
from hubbub.events.v1.events_pb2 import UserControl
from hubbub.messages.v1.messages_service_pb2 import AdmitUserRequest, OpenSessionsRequest, OpenSessionsResponse
from hubbub.messages.v1.messages_service_pb2_grpc import MessagesServiceStub

log = structlog.get_logger()
REVOKED = 4501
CHUNK = 50
"""Users whose sessions are opened again by one call."""


class Control:
    """Decisions about users."""

    def __init__(self, roster: Roster, admission: Admission, messages: MessagesServiceStub) -> None:
        self._roster = roster
        self._admission = admission
        self._messages = messages
        self._doubtful: dict[tuple[str, str], None] = {}
        """Users about whom something may have been missed."""
        self._wake = asyncio.Event()

    def decided(self, control: UserControl) -> None:
        """Carry one decision out."""
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

    async def run(self) -> None:
        """Settle doubts as they come, for ever; a service that does not answer is asked again."""
        pause = FIRST_SECONDS
        while True:
            await self._wake.wait()
            chunk = [key for key, _ in zip(self._doubtful, range(CHUNK), strict=False)]
            try:
                await self._settle([self._roster.accounts[key] for key in chunk if key in self._roster.accounts])
            except HubbubError:
                await asyncio.sleep(pause * random.uniform(0.5, 1.0))
                pause = min(pause * 2, LONGEST_SECONDS)
                continue
            pause = FIRST_SECONDS
            for key in chunk:
                self._doubtful.pop(key, None)
            if not self._doubtful:
                self._wake.clear()

    async def _settle(self, accounts: Sequence[Account]) -> None:
        with self._roster.recent.load(0) as load:
            eldest = [min(account.connections, key=lambda each: each.identity.issued_at) for account in accounts]
            answer = await self._open(eldest)
            for account, session in zip(accounts, answer.sessions, strict=True):
                if session.reason:
                    await self._close_void(account.connections)
                else:
                    self._roster.hub.compare(account, map(channel_view, session.channels), load)

    async def _close_void(self, connections: Iterable[Connection]) -> None:
        """Close those whose own token is void: one user may hold older and newer ones."""
        asked = list(connections)
        answer = await self._open(asked)
        for connection, session in zip(asked, answer.sessions, strict=True):
            if session.reason:
                self._roster.close(connection, REVOKED)

    async def _open(self, connections: Sequence[Connection]) -> OpenSessionsResponse:
        requests = [AdmitUserRequest(caller=each.identity.caller) for each in connections]
        answer: OpenSessionsResponse = await call(
            self._messages.OpenSessions, OpenSessionsRequest(sessions=requests), timeout=CALL_SECONDS
        )
        return answer

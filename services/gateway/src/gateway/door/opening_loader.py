"""Loads the sessions of connections that open, in batches: one RPC for all that came within a tick.

While a call is under way, later ones wait for its end, or for a moment to gather: a call costs as much as ten sessions. A batch
that is too large for one answer takes several calls.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from chassis.errors import HubbubError, NotAuthenticated, Unavailable
from chassis.grpc_client import call
from gateway.clients import CALL_SECONDS
from gateway.identity.identity import Identity
from gateway.metrics import SESSIONS
from gateway.supervise import guarded
from hubbub.messages.v1.messages_service_pb2 import AdmitUserRequest, OpenSessionsRequest, Session
from hubbub.messages.v1.messages_service_pb2_grpc import MessagesServiceStub

BATCH = 100
"""Sessions opened by one call."""
WAITING = 20_000
"""Sessions that may wait; more are rejected."""
CONCURRENT = 4
"""Calls at one time."""
GATHER_SECONDS = 0.01
"""Time to gather sessions while a call is under way."""


class Loaded(NamedTuple):
    """A session, and the store's epoch when it was read."""

    session: Session
    epoch: str
    first_epoch: bool
    """The store has never had another epoch."""


_Waiting = tuple[Identity, asyncio.Future[Loaded]]


class OpeningLoader:
    """Sessions that are being loaded."""

    def __init__(self, messages: MessagesServiceStub, group: asyncio.TaskGroup) -> None:
        self._messages = messages
        self._group = group
        self._waiting: list[_Waiting] = []
        self._calls = 0
        """Calls under way."""
        self._scheduled = False

    async def load(self, identity: Identity) -> Loaded:
        """Load a user's session. Raises `NotAuthenticated` for a revoked token or blocked user, and `Unavailable`."""
        if len(self._waiting) >= WAITING:
            raise Unavailable
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Loaded] = loop.create_future()
        self._waiting.append((identity, future))
        if not self._scheduled:
            self._scheduled = True
            loop.call_later(GATHER_SECONDS if self._calls else 0, self._start)
        loaded = await future
        if loaded.session.reason:
            raise NotAuthenticated
        return loaded

    def _start(self) -> None:
        self._scheduled = False
        while self._waiting and self._calls < CONCURRENT:
            batch, self._waiting = self._waiting[:BATCH], self._waiting[BATCH:]
            self._calls += 1
            self._group.create_task(guarded("session", self._call(batch), partial(_refuse, batch, Unavailable())))

    async def _call(self, batch: Sequence[_Waiting]) -> None:
        wanted = [(identity, future) for identity, future in batch if not future.done()]
        SESSIONS.observe(len(wanted))
        requests = [AdmitUserRequest(caller=identity.caller, name=identity.name) for identity, _ in wanted]
        try:
            answer = await call(self._messages.OpenSessions, OpenSessionsRequest(sessions=requests), timeout=CALL_SECONDS)
        except HubbubError as error:
            _refuse(wanted, error)
        else:
            for (_, future), session in zip(wanted, answer.sessions, strict=False):
                if not future.done():
                    future.set_result(Loaded(session, answer.epoch, answer.first_epoch))
            self._waiting = wanted[len(answer.sessions) :] + self._waiting  # sessions that did not fit into the answer
        finally:
            self._calls -= 1
            if not self._calls or not self._scheduled:
                self._start()


def _refuse(waiting: Sequence[_Waiting], error: HubbubError) -> None:
    for _, future in waiting:
        if not future.done():
            future.set_exception(error)

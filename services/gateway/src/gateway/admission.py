"""Lets a verified bearer in, or not: asks the messages service whether the user is blocked or the token revoked.

The answer is remembered for a few seconds, so that a page that makes ten calls costs one; a control event about the user
forgets it at once.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

from chassis.grpc_client import call
from gateway.clients import CALL_SECONDS
from gateway.connection import Identity
from hubbub.messages.v1.messages_service_pb2 import AdmitUserRequest
from hubbub.messages.v1.messages_service_pb2_grpc import MessagesServiceStub

REMEMBERED_SECONDS = 10.0
REMEMBERED = 10_000
"""Users at most."""


class Admission:
    """Who was let in just now."""

    def __init__(
        self,
        messages: MessagesServiceStub,
        clock: Callable[[], float] = time.monotonic,
        *,
        cut_off: Callable[[], bool] = lambda: False,
    ) -> None:
        self._messages = messages
        self._cut_off = cut_off
        """Whether what is remembered may have been overruled unheard (`tenure`)."""
        self._clock = clock
        self._known: OrderedDict[tuple[str, str], tuple[Identity, str, float]] = OrderedDict()
        """By tenant and user, oldest first: the identity that was let in, the user's name, until when."""
        self._controls = 0
        """How many decisions about users have come."""

    async def admit(self, identity: Identity) -> str:
        """The user's display name. Raises `NotAuthenticated` for the blocked and revoked, `Unavailable`."""
        key = (identity.tenant, identity.user)
        known = self._known.get(key)
        if known is not None and known[0] == identity and self._clock() < known[2] and not self._cut_off():
            return known[1]
        controls, asked = self._controls, self._clock()
        request = AdmitUserRequest(caller=identity.caller, name=identity.name)
        answer = await call(self._messages.AdmitUser, request, timeout=CALL_SECONDS)
        if controls == self._controls and not self._cut_off():  # else the answer may be older than a decision that came meanwhile
            self._known[key] = (identity, answer.user.name, asked + REMEMBERED_SECONDS)
            self._known.move_to_end(key)
            if len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
        return str(answer.user.name)

    def forget(self, tenant: str, user: str) -> None:
        """Ask again next time: something was decided about the user."""
        self._controls += 1
        self._known.pop((tenant, user), None)

    def forget_all(self) -> None:
        """Ask again for everybody: a decision may have been missed."""
        self._controls += 1
        self._known.clear()

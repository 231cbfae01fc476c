"""Admits a verified user or not: asks the messages service whether the user is blocked or the token revoked.

The answer is cached for a few seconds, so that a page that makes ten calls costs one. A revocation of the user drops it at once.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

from chassis.grpc_client import call
from gateway.clients import CALL_SECONDS
from gateway.identity.identity import Identity
from hubbub.messages.v1.messages_service_pb2 import AdmitUserRequest
from hubbub.messages.v1.messages_service_pb2_grpc import MessagesServiceStub

CACHED_SECONDS = 10.0
CACHED = 10_000
"""Users in the cache."""


class AccessCache:
    """Users who were admitted recently."""

    def __init__(
        self,
        messages: MessagesServiceStub,
        clock: Callable[[], float] = time.monotonic,
        *,
        cut_off: Callable[[], bool] = lambda: False,
    ) -> None:
        self._messages = messages
        self._cut_off = cut_off
        """Whether a revocation may have been missed: the gateway has no valid lease."""
        self._clock = clock
        self._known: OrderedDict[tuple[str, str], tuple[Identity, str, float]] = OrderedDict()
        """By tenant and user, oldest first: the identity that was admitted, the display name, the expiry."""
        self._revocations = 0
        """Number of revocations received."""

    async def admit(self, identity: Identity) -> str:
        """Admit a user and return the display name. Raises `NotAuthenticated` if blocked or revoked, and `Unavailable`."""
        key = (identity.tenant, identity.user)
        known = self._known.get(key)
        if known is not None and known[0] == identity and self._clock() < known[2] and not self._cut_off():
            return known[1]
        revocations, asked = self._revocations, self._clock()
        request = AdmitUserRequest(caller=identity.caller, name=identity.name)
        answer = await call(self._messages.AdmitUser, request, timeout=CALL_SECONDS)
        if revocations == self._revocations and not self._cut_off():  # otherwise the answer may be older than a revocation
            self._known[key] = (identity, answer.user.name, asked + CACHED_SECONDS)
            self._known.move_to_end(key)
            if len(self._known) > CACHED:
                self._known.popitem(last=False)
        return str(answer.user.name)

    def forget(self, tenant: str, user: str) -> None:
        """Drop the cached answer: the user was blocked, unblocked or revoked."""
        self._revocations += 1
        self._known.pop((tenant, user), None)

    def forget_all(self) -> None:
        """Drop all cached answers: a revocation may have been missed."""
        self._revocations += 1
        self._known.clear()

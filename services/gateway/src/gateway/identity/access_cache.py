"""Admits a verified user or not: asks the messages service whether the user is blocked, the token revoked, or the session over.

The answer is cached for a few seconds, so that a page that makes ten calls costs one. A revocation of the user drops it at once.
A bot's token counts as a session.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import NamedTuple

from chassis.errors import Unavailable
from chassis.grpc_client import call
from gateway.clients import CALL_SECONDS
from gateway.identity.identity import Identity
from hubbub.messages.v1.messages_service_pb2 import AdmitUserRequest
from hubbub.messages.v1.messages_service_pb2_grpc import MessagesServiceStub

CACHED_SECONDS = 10.0
CACHED = 10_000
"""Users in the cache."""
SESSIONS = 20
"""Sessions of one user in the cache: as many as a bot may have tokens."""
REVOKED = 10_000
"""Users whose last revocation is remembered."""
ATTEMPTS = 3
"""Questions about one user, each outdated by a revocation of that user."""


class Admission(NamedTuple):
    """What the messages service says about an admitted user."""

    name: str
    """The display name."""
    session_ends_at: float
    """When the browser session ends unless it is used again (Unix seconds); 0 without one."""


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
        self._known: OrderedDict[tuple[str, str], dict[str, tuple[Identity, Admission, float]]] = OrderedDict()
        """By tenant and user, and by session, oldest first: the identity that was admitted, the answer, the expiry."""
        self.revocations = 0
        """Number of revocations received."""
        self._revoked: OrderedDict[tuple[str, str], int] = OrderedDict()
        """By tenant and user, oldest first: the number of the last revocation."""
        self._forgotten = 0
        """The number up to which `_revoked` is not complete."""

    async def admit(self, identity: Identity) -> Admission:
        """Admit a user. Raises `NotAuthenticated` if blocked, revoked or signed out, and `Unavailable`."""
        key = (identity.tenant, identity.user)
        known = self._known.get(key, {}).get(identity.session)
        if known is not None and known[0] == identity and self._clock() < known[2] and not self._cut_off():
            return known[1]
        for _attempt in range(ATTEMPTS):
            revocations, asked = self.revocations, self._clock()
            request = AdmitUserRequest(caller=identity.caller, name=identity.name)
            answer = await call(self._messages.AdmitUser, request, timeout=CALL_SECONDS)
            if not self.revoked_since(revocations, identity):
                break
        else:
            raise Unavailable
        admission = Admission(answer.user.name, answer.session_ends_at)
        if not self._cut_off():
            sessions = self._known.setdefault(key, {})
            sessions.pop(identity.session, None)
            sessions[identity.session] = (identity, admission, asked + CACHED_SECONDS)
            if len(sessions) > SESSIONS:
                del sessions[next(iter(sessions))]
            self._known.move_to_end(key)
            if len(self._known) > CACHED:
                self._known.popitem(last=False)
        return admission

    def revoked_since(self, revocations: int, identity: Identity) -> bool:
        """Whether the user may have been revoked since `revocations` had that value: an answer of that time is outdated."""
        return max(self._forgotten, self._revoked.get((identity.tenant, identity.user), 0)) > revocations

    def forget(self, tenant: str, user: str) -> None:
        """Drop the cached answers: the user was blocked, unblocked, revoked or signed out."""
        self.revocations += 1
        self._known.pop((tenant, user), None)
        self._revoked[tenant, user] = self.revocations
        self._revoked.move_to_end((tenant, user))
        if len(self._revoked) > REVOKED:
            _, self._forgotten = self._revoked.popitem(last=False)

    def forget_all(self) -> None:
        """Drop all cached answers: a revocation may have been missed."""
        self.revocations += 1
        self._forgotten = self.revocations
        self._known.clear()

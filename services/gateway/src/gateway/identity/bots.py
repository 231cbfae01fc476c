"""Identifies bots by their tokens, and incoming webhooks by their addresses. The messages service knows them by digest.

What a token stands for never changes, so an identity is remembered without a time limit. Whether the token still counts is asked
at each use, as for a browser session (`access_cache`, `door.opening`): an identity alone admits no one. A token that was refused
is remembered for a moment, so that a client that repeats it costs no calls.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

from chassis.bots import BotScope, Credential
from chassis.errors import NotAuthenticated, Unavailable
from chassis.grpc_client import call
from chassis.proto_enums import to_word
from gateway.clients import CALL_SECONDS
from gateway.identity.identity import Identity
from hubbub.messages.v1 import messages_pb2 as nouns
from hubbub.messages.v1.messages_service_pb2 import IdentifyBotRequest, IdentifyBotResponse
from hubbub.messages.v1.messages_service_pb2_grpc import MessagesServiceStub

KNOWN = 10_000
"""Tokens that are remembered; the least recently used one is forgotten."""
REFUSED = 10_000
"""Refused tokens that are remembered."""
REFUSED_SECONDS = 10.0
LOOKUPS = 32
"""Questions under way; more tokens are refused with `Unavailable`. So guesses cannot occupy the messages service."""


class BotIdentities:
    """The bots whose tokens were shown."""

    def __init__(self, messages: MessagesServiceStub, clock: Callable[[], float] = time.monotonic) -> None:
        self._messages = messages
        self._clock = clock
        self._known: OrderedDict[Credential, Identity] = OrderedDict()
        """Least recently used first."""
        self._refused: OrderedDict[Credential, float] = OrderedDict()
        """Until when each is refused without a question, oldest first."""
        self._lookups = 0

    async def identify(self, credential: Credential | None) -> Identity:
        """The identity of a bot, which the caller must still admit.

        Raises `NotAuthenticated`, `Unavailable`, and `NotAllowed` for the address of a webhook that is disabled.
        """
        if credential is None or self._refused.get(credential, 0.0) > self._clock():
            raise NotAuthenticated
        known = self._known.get(credential)
        if known is not None:
            self._known.move_to_end(credential)
            return known
        if self._lookups >= LOOKUPS:
            raise Unavailable
        self._lookups += 1
        try:
            request = IdentifyBotRequest(tenant=credential.tenant, digest=credential.digest)
            found = _identity(credential.tenant, await call(self._messages.IdentifyBot, request, timeout=CALL_SECONDS))
        except NotAuthenticated:
            self._refused[credential] = self._clock() + REFUSED_SECONDS
            self._refused.move_to_end(credential)
            if len(self._refused) > REFUSED:
                self._refused.popitem(last=False)
            raise
        finally:
            self._lookups -= 1
        self._known[credential] = found
        if len(self._known) > KNOWN:
            self._known.popitem(last=False)
        return found

    def forget(self, credential: Credential | None) -> None:
        """Ask again about a token at its next use: it was not admitted."""
        if credential is not None:
            self._known.pop(credential, None)


def _identity(tenant: str, found: IdentifyBotResponse) -> Identity:
    return Identity(
        tenant,
        found.bot,
        "",
        (),
        found.issued_at,
        found.expires_at,
        session=found.token,
        scopes=frozenset(BotScope(word) for each in found.scopes if (word := to_word(nouns.BotScope, each))),
        hook=found.channel,
    )

"""Judges whether a caller's credential permits an operation or a frame, in one place. Roles are judged by the services."""

from __future__ import annotations

from chassis.bots import BotScope
from chassis.errors import NotAllowed
from gateway.identity.identity import Identity
from gateway.protocol.scopes import Beyond, Scope


def require(identity: Identity, scope: Scope) -> None:
    """Raise `NotAllowed` unless the caller's credential permits it. A person's permits all but posting as a webhook."""
    if identity.scopes is None:
        permitted = scope is not Beyond.HOOK
    elif identity.hook:
        permitted = scope is Beyond.HOOK
    else:
        permitted = scope is Beyond.ANY or scope in identity.scopes
    if not permitted:
        raise NotAllowed(f"The token lacks the scope {scope}" if isinstance(scope, BotScope) else "Bots may not do this")

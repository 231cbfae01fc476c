"""/v1/admin. The messages service checks permissions, and answers once every gateway has applied the change."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from gateway.http.api import api_of, ask, name_in_path, nothing
from gateway.http.operation import operation
from gateway.identity.identity import Identity
from gateway.protocol.scopes import Beyond
from hubbub.messages.v1.messages_service_pb2 import BlockUserRequest, RevokeUserRequest


@operation({204: None}, cost=5, scope=Beyond.PEOPLE)
async def revoke(request: Request, identity: Identity) -> Response:
    """Revoke a user's tokens issued before now, at every gateway."""
    asked = RevokeUserRequest(caller=identity.caller, user=name_in_path(request, "user"))
    await ask(api_of(request).clients.messages.RevokeUser, asked)
    return nothing()


@operation({204: None}, cost=5, scope=Beyond.PEOPLE)
async def block(request: Request, identity: Identity) -> Response:
    """Block a user from the tenant, at every gateway."""
    return await _set_blocked(request, identity, blocked=True)


@operation({204: None}, cost=5, scope=Beyond.PEOPLE)
async def unblock(request: Request, identity: Identity) -> Response:
    """Unblock a user."""
    return await _set_blocked(request, identity, blocked=False)


async def _set_blocked(request: Request, identity: Identity, *, blocked: bool) -> Response:
    asked = BlockUserRequest(caller=identity.caller, user=name_in_path(request, "user"), blocked=blocked)
    await ask(api_of(request).clients.messages.BlockUser, asked)
    return nothing()

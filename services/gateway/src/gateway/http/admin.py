"""/v1/admin. The messages service judges whether the caller is an administrator, and answers when it holds at every gateway."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from gateway.http.api import api_of, ask, identity_of, name_in_path, nothing
from hubbub.messages.v1.messages_service_pb2 import BlockUserRequest, RevokeUserRequest


async def revoke(request: Request) -> Response:
    """Void a user's tokens issued before now, everywhere."""
    identity = await identity_of(request)
    asked = RevokeUserRequest(caller=identity.caller, user=name_in_path(request, "user"))
    await ask(api_of(request).clients.messages.RevokeUser, asked)
    return nothing()


async def block(request: Request) -> Response:
    """Keep a user out of the tenant, everywhere."""
    return await _set_blocked(request, blocked=True)


async def unblock(request: Request) -> Response:
    """Lift it."""
    return await _set_blocked(request, blocked=False)


async def _set_blocked(request: Request, *, blocked: bool) -> Response:
    identity = await identity_of(request)
    asked = BlockUserRequest(caller=identity.caller, user=name_in_path(request, "user"), blocked=blocked)
    await ask(api_of(request).clients.messages.BlockUser, asked)
    return nothing()

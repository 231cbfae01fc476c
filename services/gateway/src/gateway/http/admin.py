"""/v1/admin. Whether the caller is an administrator is judged by the messages service; the answer waits for every gateway."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from gateway.http.api import api_of, ask, identity_of, name_in_path, nothing
from hubbub.events.v1.events_pb2 import UserControl
from hubbub.messages.v1.messages_service_pb2 import BlockUserRequest, BlockUserResponse, RevokeUserRequest


async def revoke(request: Request) -> Response:
    """Void a user's tokens issued before now, everywhere."""
    identity, api = await identity_of(request), api_of(request)
    asked = RevokeUserRequest(caller=identity.caller, user=name_in_path(request, "user"))
    await api.decisions.hold_everywhere((await ask(api.clients.messages.RevokeUser, asked)).control)
    return nothing()


async def block(request: Request) -> Response:
    """Keep a user out of the tenant, everywhere."""
    control = await _set_blocked(request, blocked=True)
    await api_of(request).decisions.hold_everywhere(control)
    return nothing()


async def unblock(request: Request) -> Response:
    """Lift it."""
    await _set_blocked(request, blocked=False)
    return nothing()


async def _set_blocked(request: Request, *, blocked: bool) -> UserControl:
    identity = await identity_of(request)
    asked = BlockUserRequest(caller=identity.caller, user=name_in_path(request, "user"), blocked=blocked)
    answer: BlockUserResponse = await ask(api_of(request).clients.messages.BlockUser, asked)
    return answer.control

"""/v1/me and /v1/users."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from gateway import convert
from gateway.http.api import admitted, answer, api_of, ask, identity_of, limit_of, page, words
from hubbub.messages.v1.messages_service_pb2 import ListUsersRequest


async def me(request: Request) -> Response:
    """Who the caller is."""
    identity, name = await admitted(request)
    return answer({"user": identity.user, "tenant": identity.tenant, "name": name, "roles": list(identity.roles)})


async def list_users(request: Request) -> Response:
    """People of the tenant."""
    identity = await identity_of(request)
    asked = ListUsersRequest(
        caller=identity.caller,
        query=words(request, "q"),
        limit=limit_of(request, 50, 200),
        cursor=words(request, "cursor"),
    )
    found = await ask(api_of(request).clients.messages.ListUsers, asked)
    return page([convert.user(each) for each in found.users], found.next)

"""/v1/me and /v1/users."""

from __future__ import annotations

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from chassis.bots import BotScope
from gateway.http import convert, shapes
from gateway.http.api import Limit, Words, answer, api_of, ask, page
from gateway.http.operation import operation
from gateway.identity.identity import Identity
from gateway.protocol.scopes import Beyond
from hubbub.messages.v1.messages_service_pb2 import ListUsersRequest

_MOST = 200


class PeopleQuery(msgspec.Struct):
    """The beginning of a name or id, or of a later word in one, and which page."""

    q: Words = ""
    limit: Limit = 50
    cursor: Words = ""


@operation({200: shapes.Me}, cost=1, scope=Beyond.ANY)
async def me(request: Request, identity: Identity) -> Response:
    """Get the caller."""
    admission = await api_of(request).access.admit(identity)  # cached a moment ago
    return answer(shapes.Me(identity.user, identity.tenant, admission.name, list(identity.roles)))


@operation({200: shapes.Page[shapes.User]}, cost=2, scope=BotScope.READ)
async def list_users(request: Request, identity: Identity, query: PeopleQuery) -> Response:
    """List users of the tenant."""
    asked = ListUsersRequest(
        caller=identity.caller,
        query=query.q,
        page_size=min(query.limit, _MOST),
        page_token=query.cursor,
    )
    found = await ask(api_of(request).clients.messages.ListUsers, asked)
    return page([convert.user(each) for each in found.users], found.next_page_token)

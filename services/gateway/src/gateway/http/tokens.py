"""/v1/tickets, and /v1/dev/login if there is a development issuer."""

from __future__ import annotations

import time
from typing import Annotated

import msgspec
import structlog
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response

from chassis.bots import is_bot
from chassis.errors import InvalidArgument, NotAuthenticated, NotFound, RateLimited
from chassis.ids import Tenant
from chassis.text import is_identifier
from gateway.http import shapes
from gateway.http.api import answer, api_of, with_session_end
from gateway.http.channels import Name, UserId
from gateway.http.operation import operation
from gateway.identity.authentication import DEFAULT_TTL_SECONDS, issue
from gateway.identity.identity import Identity
from gateway.identity.issuers import DEV_AUDIENCE, DEV_ISSUER, DEV_TOKEN_SECONDS
from gateway.identity.tickets import TICKET_SECONDS
from gateway.protocol.scopes import SOCKET

log = structlog.get_logger()
Role = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"\A[^\x00-\x1f\x7f]+\Z")]
"""A role in the tenant, such as `admin`."""


class DevLogin(msgspec.Struct, forbid_unknown_fields=True):
    """Body of a development login."""

    user: UserId
    name: Name | None = None
    tenant: Tenant = "default"
    roles: Annotated[list[Role], Meta(max_length=32)] = []
    ttl: Annotated[int, Meta(ge=1, le=DEV_TOKEN_SECONDS)] = DEFAULT_TTL_SECONDS


@operation({201: shapes.Ticket}, cost=2, scope=SOCKET)
async def sell_ticket(request: Request, identity: Identity) -> Response:
    """Issue a one-time ticket for the WebSocket."""
    api = api_of(request)
    ticket = await api.tickets.issue(await with_session_end(api, identity))
    return answer(shapes.Ticket(ticket, TICKET_SECONDS), 201)


@operation({200: shapes.Login}, NotAuthenticated, NotFound, RateLimited, cost=1, allowance="unauthenticated")
async def dev_login(request: Request, body: DevLogin) -> Response:
    """Issue a development token, and create the user."""
    api = api_of(request)
    if api.dev_issuer is None:
        raise NotFound
    if not is_identifier(body.user) or is_bot(body.user):
        raise InvalidArgument("The user cannot be an id")
    request.state.authenticated = True  # a token must not be cached either
    now = time.time()
    claims = {
        "iss": DEV_ISSUER,
        "aud": DEV_AUDIENCE,
        "iat": now,
        "exp": now + body.ttl,
        "auth_time": now,
        "sub": body.user,
        "tenant": body.tenant,
        "roles": body.roles,
        **({"name": body.name} if body.name else {}),
    }
    token = issue(api.dev_issuer, claims)
    await api.access.admit(await api.authenticator.identify(token))
    log.info("development_login", tenant=body.tenant, user=body.user)
    return answer(shapes.Login(token, body.ttl))

"""/v1/me/sessions: the browsers in which the caller is signed in. The messages service keeps them."""

from __future__ import annotations

import structlog
from starlette.requests import Request
from starlette.responses import Response

from gateway.http import convert, shapes
from gateway.http.api import api_of, ask, name_in_path, nothing, page
from gateway.http.operation import operation
from gateway.identity.identity import Identity
from gateway.protocol.scopes import Beyond
from hubbub.messages.v1.messages_service_pb2 import EndBrowserSessionsRequest, ListBrowserSessionsRequest

log = structlog.get_logger()


@operation({200: shapes.Page[shapes.BrowserSession]}, cost=1, scope=Beyond.PEOPLE)
async def list_sessions(request: Request, identity: Identity) -> Response:
    """List the browsers in which the caller is signed in, the last used first."""
    asked = ListBrowserSessionsRequest(caller=identity.caller)
    found = await ask(api_of(request).clients.messages.ListBrowserSessions, asked)
    return page([convert.browser_session(each, identity.session) for each in found.sessions])


@operation({204: None}, cost=5, scope=Beyond.PEOPLE)
async def end_session(request: Request, identity: Identity) -> Response:
    """Sign the caller out of one browser, at every gateway."""
    session = name_in_path(request, "session")
    await end(request, identity, session)
    response = nothing()
    sign_in = api_of(request).sign_in
    if session == identity.session and sign_in is not None:
        sign_in.sessions.end(response)
    return response


@operation({204: None}, cost=5, scope=Beyond.PEOPLE)
async def end_other_sessions(request: Request, identity: Identity) -> Response:
    """Sign the caller out of all other browsers, at every gateway."""
    await end(request, identity, "")
    return nothing()


async def end(request: Request, identity: Identity, session: str) -> list[str]:
    """End a session of the user, or with "" all others; returns those that ended.

    Raises `NotFound`, and `Unavailable` until every gateway has applied it.
    """
    asked = EndBrowserSessionsRequest(caller=identity.caller, session=session)
    ended = await ask(api_of(request).clients.messages.EndBrowserSessions, asked)
    sessions = list(ended.sessions)
    log.info("sessions_ended", tenant=identity.tenant, user=identity.user, sessions=sessions)
    return sessions

"""/v1/signin and /v1/signout: begin and end a browser's cookie session.

`identity.oidc` talks to the provider. Until the provider answers, the attempt (state, nonce, verifier, next path) is sealed in
a cookie of its own: the answer is valid only in the browser that began the sign-in, at any gateway.
"""

from __future__ import annotations

import re
import time
from dataclasses import replace
from http import HTTPStatus

import msgspec
import structlog
from msgspec import UNSET, UnsetType
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from chassis.errors import HubbubError, InvalidArgument, NotAllowed, NotAuthenticated, NotFound, RateLimited, Unavailable
from gateway.http import sessions
from gateway.http.api import address_of, answer, api_of, ask, nothing, session_of
from gateway.http.operation import operation
from gateway.http.shapes import SignInOptions, SignInProvider
from gateway.identity.identity import Identity
from gateway.identity.sign_in import SignIn
from hubbub.messages.v1.messages_service_pb2 import BeginBrowserSessionRequest

log = structlog.get_logger()
ATTEMPT_SECONDS = 600
"""Time to sign in at the provider."""
_ATTEMPT = "-signin"
_LOCAL_PATH = re.compile(r"/(?!/)[^\x00-\x20\x7f-\U0010ffff\\]{0,1023}")
"""A path that no browser takes for the URL of another server."""
_CODE_CHARACTERS = 2_048
_USER_AGENT_CHARACTERS = 200


class BeginQuery(msgspec.Struct):
    """Parameters of a sign-in."""

    next: str = "/"
    """The path of this server to redirect to afterwards."""
    fresh: bool = False
    """Prove again who you are, even if the provider knows you already."""


class AnswerQuery(msgspec.Struct):
    """Parameters of the provider's answer (RFC 6749, RFC 9207)."""

    code: str = ""
    state: str = ""
    iss: str | UnsetType = UNSET


@operation({200: SignInOptions}, RateLimited, Unavailable, cost=1, allowance="sign_ins")
async def options(request: Request) -> Response:
    """The ways to sign in, and whether this browser is signed in."""
    request.state.authenticated = True  # the answer must not be cached
    api = api_of(request)
    sign_in = api.sign_in
    session = await session_of(request)
    return answer(
        SignInOptions(
            development=api.dev_issuer is not None,
            provider=SignInProvider(sign_in.config.label, "/v1/signin") if sign_in else None,
            signed_in=session is not None,
            ends_at=session.ends_at if session else None,
        )
    )


@operation({303: None}, InvalidArgument, NotFound, RateLimited, Unavailable, cost=1, allowance="sign_ins")
async def begin(request: Request, query: BeginQuery) -> Response:
    """Redirect the browser to the provider."""
    sign_in = _sign_in_of(request)
    next_path = query.next or "/"
    if not _LOCAL_PATH.fullmatch(next_path):
        raise InvalidArgument("next must be a path of this server")
    attempt, url = await sign_in.provider.begin(next_path, fresh=query.fresh)
    response = RedirectResponse(url, HTTPStatus.SEE_OTHER)
    name = sign_in.sessions.name(_ATTEMPT)
    sign_in.sessions.set(response, name, sign_in.attempts.close(attempt, time.time() + ATTEMPT_SECONDS), ATTEMPT_SECONDS)
    return response


@operation({303: None}, NotAllowed, NotAuthenticated, NotFound, RateLimited, Unavailable, cost=1, allowance="sign_ins")
async def callback(request: Request, query: AnswerQuery) -> Response:
    """Take the provider's answer, once: begin a session and redirect to `next`, or explain the failure."""
    sign_in = _sign_in_of(request)
    try:
        response = await _signed_in(request, sign_in, query)
    except HubbubError as error:
        log.info("sign_in_refused", reason=error.reason)
        if "text/html" not in request.headers.get("accept", ""):
            raise
        response = RedirectResponse(f"/?signin={error.reason}", HTTPStatus.SEE_OTHER)  # a browser shows pages, not problem+json
    sign_in.sessions.set(response, sign_in.sessions.name(_ATTEMPT), "", 0)
    return response


@operation({204: None}, NotAllowed, NotFound, RateLimited, Unavailable, cost=1, allowance="sign_ins")
async def end(request: Request) -> Response:
    """Sign out of this browser, at every gateway; the user's other sessions stay."""
    sign_in = _sign_in_of(request)
    sign_in.sessions.check_origin(request)
    identity = sign_in.sessions.known(request)
    if identity is not None:
        if not await sessions.end(request, identity, identity.session):
            api_of(request).rates.unauthenticated.take(address_of(request))  # it ended long ago
        log.info("signed_out", tenant=identity.tenant, user=identity.user, session=identity.session)
    response = nothing()
    sign_in.sessions.end(response)
    return response


async def _signed_in(request: Request, sign_in: SignIn, query: AnswerQuery) -> Response:
    attempt = sign_in.attempts.open(request.cookies.get(sign_in.sessions.name(_ATTEMPT), ""))
    if attempt is None:
        raise NotAuthenticated("This browser has not begun to sign in, or long ago; begin again")
    if not query.code or not query.state or len(query.code) > _CODE_CHARACTERS:
        raise NotAuthenticated("The sign-in provider did not let you in")
    identity = await sign_in.provider.finish(attempt, query.state, query.code, None if query.iss is UNSET else query.iss)
    identity = await _begun(request, sign_in, identity)
    response = RedirectResponse(attempt.next, HTTPStatus.SEE_OTHER)
    sign_in.sessions.begin(response, identity, sign_in.config.session_seconds)
    log.info("signed_in", tenant=identity.tenant, user=identity.user, session=identity.session)
    return response


async def _begun(request: Request, sign_in: SignIn, identity: Identity) -> Identity:
    """The identity with its session: a new one, or this browser's if the same user signs in again."""
    caller, present = identity.caller, sign_in.sessions.known(request)
    if present is not None and (present.tenant, present.user) == (identity.tenant, identity.user):
        caller.session = present.session
    asked = BeginBrowserSessionRequest(
        caller=caller,
        name=identity.name,
        user_agent=request.headers.get("user-agent", "")[:_USER_AGENT_CHARACTERS],
        idle_seconds=sign_in.config.session_idle_seconds,
        longest_seconds=sign_in.config.session_seconds,
    )
    begun = await ask(api_of(request).clients.messages.BeginBrowserSession, asked)
    return replace(identity, session=begun.session.id, issued_at=begun.issued_at)


def _sign_in_of(request: Request) -> SignIn:
    request.state.authenticated = True  # the answer must not be cached
    sign_in = api_of(request).sign_in
    if sign_in is None:
        raise NotFound
    return sign_in

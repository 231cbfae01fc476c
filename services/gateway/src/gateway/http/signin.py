"""/v1/signin and /v1/signout: how a person's browser comes to a cookie session, and rids itself of it.

The protocol with the provider is `oidc`'s. Until the answer comes, what must not be forged (state, nonce, verifier, where to go
on) is sealed in a cookie of its own, so that an answer counts only in the browser that asked, at whichever gateway it arrives.
"""

from __future__ import annotations

import re
import time
from http import HTTPStatus

import msgspec
import structlog
from msgspec import UNSET, UnsetType
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from chassis.errors import HubbubError, InvalidArgument, NotAllowed, NotAuthenticated, NotFound, RateLimited, Unavailable
from gateway.config import Config, SignInConfig
from gateway.cookies import Seal
from gateway.http.api import answer, api_of, count_stranger, nothing
from gateway.http.cookie_session import CookieSessions
from gateway.http.operation import operation
from gateway.oidc import Attempt, Provider
from gateway.shapes import SignInOptions, SignInProvider

log = structlog.get_logger()
ATTEMPT_SECONDS = 600
"""For the person to sign in at the provider."""
_ATTEMPT = "-signin"
_LOCAL_PATH = re.compile(r"/(?!/)[^\x00-\x20\x7f-\U0010ffff\\]{0,1023}")
"""A path that no browser takes for another server's address."""
_CODE_CHARACTERS = 2_048


class BeginQuery(msgspec.Struct):
    """What a sign-in begins with."""

    next: str = "/"
    """The path of this server where it ends."""


class AnswerQuery(msgspec.Struct):
    """What a provider sends a browser back with (RFC 6749, RFC 9207)."""

    code: str = ""
    state: str = ""
    iss: str | UnsetType = UNSET


class SignIn:
    """The parts of signing in."""

    def __init__(self, config: SignInConfig, *, allowed_origins: frozenset[str], public_only: bool) -> None:
        self.config = config
        self.provider = Provider(config, public_only=public_only)
        self.sessions = CookieSessions(config, allowed_origins)
        self.attempts = Seal(config.session_keys, "attempt 1", Attempt)


def make_sign_in(config: Config) -> SignIn | None:
    """The parts, where people sign in here."""
    if config.sign_in is None:
        return None
    return SignIn(config.sign_in, allowed_origins=config.allowed_origins, public_only=config.production)


@operation({200: SignInOptions})
async def options(request: Request) -> Response:
    """How one can sign in here, and whether this browser has."""
    request.state.authenticated = True  # the answer is this browser's alone
    api = api_of(request)
    sign_in = api.sign_in
    session = sign_in.sessions.known(request) if sign_in else None
    return answer(
        SignInOptions(
            development=api.dev_issuer is not None,
            provider=SignInProvider(sign_in.config.label, "/v1/signin") if sign_in else None,
            signed_in=session is not None,
            ends_at=session.ends_at if session else None,
        )
    )


@operation({303: None}, InvalidArgument, NotFound, RateLimited, Unavailable, first=count_stranger)
async def begin(request: Request, query: BeginQuery) -> Response:
    """Send the browser to the provider."""
    sign_in = _sign_in_of(request)
    next_path = query.next or "/"
    if not _LOCAL_PATH.fullmatch(next_path):
        raise InvalidArgument("next must be a path of this server")
    attempt, url = await sign_in.provider.begin(next_path)
    response = RedirectResponse(url, HTTPStatus.SEE_OTHER)
    name = sign_in.sessions.name(_ATTEMPT)
    sign_in.sessions.set(response, name, sign_in.attempts.close(attempt, time.time() + ATTEMPT_SECONDS), ATTEMPT_SECONDS)
    return response


@operation({303: None}, NotAllowed, NotAuthenticated, NotFound, RateLimited, Unavailable, first=count_stranger)
async def come_back(request: Request, query: AnswerQuery) -> Response:
    """Take the provider's answer, once: a session and on to where the person wanted to go, or why not."""
    sign_in = _sign_in_of(request)
    try:
        response = await _signed_in(request, sign_in, query)
    except HubbubError as error:
        log.info("sign_in_refused", reason=error.reason)
        if "text/html" not in request.headers.get("accept", ""):
            raise
        response = RedirectResponse(f"/?signin={error.reason}", HTTPStatus.SEE_OTHER)  # a person reads pages, not problems
    sign_in.sessions.set(response, sign_in.sessions.name(_ATTEMPT), "", 0)
    return response


@operation({204: None}, NotAllowed, NotFound)
async def end(request: Request) -> Response:
    """Sign out of this browser; other sessions of the user last on."""
    sign_in = _sign_in_of(request)
    sign_in.sessions.check_origin(request)
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
    await api_of(request).admission.admit(identity)
    response = RedirectResponse(attempt.next, HTTPStatus.SEE_OTHER)
    sign_in.sessions.begin(response, identity, sign_in.config.session_seconds)
    log.info("signed_in", tenant=identity.tenant, user=identity.user)
    return response


def _sign_in_of(request: Request) -> SignIn:
    request.state.authenticated = True  # what comes is this browser's alone
    sign_in = api_of(request).sign_in
    if sign_in is None:
        raise NotFound
    return sign_in

"""Common to all handlers of the HTTP API: the gateway's parts, the caller, the body, and the answer."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, replace
from typing import Annotated, Any, TypeVar

import msgspec
import structlog
from msgspec import UNSET, Meta
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from chassis.bots import hook_credential
from chassis.errors import HubbubError, InvalidArgument, NotAllowed, NotAuthenticated, NotFound, SignInAgain, TooLarge
from chassis.grpc_client import call
from chassis.lifecycle import Lifecycle
from chassis.under_way import UnderWay
from gateway.clients import CALL_SECONDS, Clients
from gateway.config import Config
from gateway.http.shapes import Page
from gateway.identity.access_cache import AccessCache
from gateway.identity.authentication import Authenticator
from gateway.identity.bots import BotIdentities
from gateway.identity.identity import Identity
from gateway.identity.issuers import DevIssuer
from gateway.identity.sign_in import SignIn
from gateway.identity.tickets import Tickets
from gateway.rates.shared import SharedRates

log = structlog.get_logger()
ShapeT = TypeVar("ShapeT")
_ADMINISTRATION = "/v1/admin/"
BODY_BYTES = 128 * 1024
BODY_SECONDS = 10.0
AT_ONCE, WAITING, WAIT_SECONDS = 4, 100, 5.0
"""Requests of one user that a gateway handles at one time, how many more wait for that, and how long."""
WALKS_AT_ONCE = 2
"""Of these, requests whose work grows with what is stored; none waits."""
MAX_SEQ = (1 << 63) - 1
Position = Annotated[int, Meta(ge=0, le=MAX_SEQ)]
"""Position in a log."""
Limit = Annotated[int, Meta(ge=1, description="The size of a page; a larger one is cut to the maximum.")]
Words = Annotated[str, Meta(max_length=1_024, pattern=r"\A[^\x00]*\Z")]
"""Text in a query."""
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Api:
    """The gateway's parts that handlers use."""

    config: Config
    clients: Clients
    authenticator: Authenticator
    bots: BotIdentities
    access: AccessCache
    rates: SharedRates
    requests: UnderWay
    """By tenant and user."""
    walks: UnderWay
    """Of these, the ones that walk."""
    tickets: Tickets
    dev_issuer: DevIssuer | None
    sign_in: SignIn | None
    """None if people do not sign in here."""
    lifecycle: Lifecycle


def api_of(request: Request) -> Api:
    """The parts, from the application's state."""
    api: Api = request.app.state.api
    return api


async def identity_of(request: Request) -> Identity:
    """The caller, admitted. Raises `NotAuthenticated`, `Unavailable`, and `RateLimited` after too many rejected credentials.

    On paths of the administration also `NotAllowed` and `SignInAgain`.
    """
    request.state.authenticated = True  # the answer must not be cached
    api = api_of(request)
    try:
        identity = await _identify(request, api)
        await api.access.admit(identity)
    except NotAuthenticated:
        api.rates.unauthenticated.take(address_of(request))
        raise
    if request.scope["route"].path.startswith(_ADMINISTRATION):
        _require_administrator(request, identity)
    return identity


async def hook_of(request: Request) -> Identity:
    """The bot of the incoming webhook that the path names, admitted.

    Raises `NotFound` for an unknown webhook and for a wrong secret alike, `NotAllowed` if it is disabled, `Unavailable`, and
    `RateLimited` after too many that were not found.
    """
    request.state.authenticated = True
    api = api_of(request)
    credential = hook_credential(name_in_path(request, "hook"), name_in_path(request, "secret"))
    try:
        try:
            identity = await api.bots.identify(credential)
            await api.access.admit(identity)
        except NotAuthenticated:  # it may have been disabled or rotated since it was remembered
            api.bots.forget(credential)
            identity = await api.bots.identify(credential)
            await api.access.admit(identity)
    except NotAuthenticated:
        api.rates.unauthenticated.take(address_of(request))
        raise NotFound from None
    return identity


async def session_of(request: Request) -> Identity | None:
    """The user whom this browser's cookie has signed in, with the end of the session; None without a valid session.

    Raises `Unavailable`, and `RateLimited` after too many void cookies.
    """
    api = api_of(request)
    identity = api.sign_in.sessions.known(request) if api.sign_in else None
    if identity is None:
        return None
    try:
        return await with_session_end(api, identity)
    except NotAuthenticated:
        api.rates.unauthenticated.take(address_of(request))
        return None


async def with_session_end(api: Api, identity: Identity) -> Identity:
    """The identity, expiring when its browser session ends unless it is used again. Raises `NotAuthenticated`, `Unavailable`."""
    admission = await api.access.admit(identity)
    ends_at = admission.session_ends_at if identity.session else identity.expires_at
    return replace(identity, expires_at=min(identity.expires_at, ends_at))


def _require_administrator(request: Request, identity: Identity) -> None:
    """Raise `NotAllowed` unless the caller administers the tenant, and `SignInAgain` if they signed in too long ago."""
    fresh_seconds = api_of(request).config.admin_fresh_seconds
    error: HubbubError
    if not identity.admin:
        error = NotAllowed()
    elif fresh_seconds and identity.authenticated_at < time.time() - fresh_seconds:
        error = SignInAgain()
    else:
        return
    route = request.scope["route"].path
    log.info("administration_refused", tenant=identity.tenant, user=identity.user, route=route, reason=error.reason)
    raise error


def address_of(request: Request) -> str:
    """The address of the client."""
    peer = request.client.host if request.client else ""
    return api_of(request).rates.address(peer, ",".join(request.headers.getlist("x-forwarded-for")))


async def _identify(request: Request, api: Api) -> Identity:
    if "authorization" not in request.headers and api.sign_in is not None:
        return api.sign_in.sessions.identity(request)
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        raise NotAuthenticated
    return await api.authenticator.identify(token.strip())


def decoded(body: bytes, shape: type[ShapeT]) -> ShapeT:
    """A JSON body as `shape`. Raises `InvalidArgument`."""
    try:
        return msgspec.json.decode(body, type=shape)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        detail = str(error) if isinstance(error, msgspec.ValidationError) else "The body is not valid JSON"
        raise InvalidArgument(detail) from None


async def body_of(request: Request) -> bytes:
    """The JSON body. Raises `InvalidArgument` for another media type, and `TooLarge`."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise InvalidArgument("The body must be application/json")
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for piece in request.stream():
                body += piece
                if len(body) > BODY_BYTES:
                    raise TooLarge(f"A body is at most {BODY_BYTES} bytes")
    except TimeoutError:
        raise InvalidArgument("The body took too long") from None
    except ClientDisconnect:
        raise InvalidArgument("The body ended early") from None
    return bytes(body)


def query_of(request: Request, shape: type[ShapeT]) -> ShapeT:
    """The query as `shape`; of a repeated field the last counts, unknown ones are ignored. Raises `InvalidArgument`."""
    return _converted(dict(request.query_params), shape, strict=False)  # all of a query is text


def headers_of(request: Request, shape: type[ShapeT]) -> ShapeT:
    """The headers, by lower-case name, as `shape`. Raises `InvalidArgument`."""
    return _converted(dict(request.headers), shape, strict=True)


def _converted(given: dict[str, str], shape: type[ShapeT], *, strict: bool) -> ShapeT:
    try:
        return msgspec.convert(given, shape, strict=strict)
    except msgspec.ValidationError as error:
        raise InvalidArgument(str(error)) from None


async def ask(method: Any, message: Any) -> Any:
    """Call a service. Raises `HubbubError`."""
    return await call(method, message, timeout=CALL_SECONDS)


def name_in_path(request: Request, name: str) -> str:
    """A part of the path."""
    given: str = request.path_params[name]
    if "\x00" in given or not _encodable(given):
        raise InvalidArgument(f"{name} is not valid")
    return given


def answer(shape: Any, status: int = 200) -> Response:
    """A JSON answer."""
    return Response(_encode(shape), status, media_type="application/json")


def page(items: list[Any], next_cursor: str = "") -> Response:
    """A page of a list, and the cursor of the next."""
    return answer(Page(items, next_cursor or UNSET))


def page_of(items: bytes) -> Response:
    """A page of a list that is JSON already, without a cursor."""
    return Response(b'{"items":' + items + b"}", media_type="application/json")


def nothing() -> Response:
    """An empty answer."""
    return Response(status_code=204)


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True

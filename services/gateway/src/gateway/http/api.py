"""What every handler of the HTTP API works with: the gateway's parts, who is calling, the body, the answer."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from chassis.errors import InvalidArgument, NotAuthenticated, TooLarge
from chassis.grpc_client import call
from gateway.admission import Admission
from gateway.allowance import Allowances
from gateway.auth import Authenticator
from gateway.clients import CALL_SECONDS, Clients
from gateway.config import Config
from gateway.connection import Identity
from gateway.issuers import DevIssuer
from gateway.tickets import Tickets

if TYPE_CHECKING:
    from gateway.http.signin import SignIn

BodyT = TypeVar("BodyT")
BODY_BYTES = 128 * 1024
BODY_SECONDS = 10.0
MAX_SEQ = (1 << 63) - 1
_MAX_QUERY = 1_024
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Api:
    """The gateway's parts that handlers use."""

    config: Config
    clients: Clients
    authenticator: Authenticator
    admission: Admission
    allowances: Allowances
    tickets: Tickets
    dev_issuer: DevIssuer | None
    sign_in: SignIn | None
    """None where people do not sign in here."""
    ready: Callable[[], bool]


def api_of(request: Request) -> Api:
    """The parts, from the application's state."""
    api: Api = request.app.state.api
    return api


async def identity_of(request: Request) -> Identity:
    """Who is calling, let in. Raises `NotAuthenticated`, `Unavailable`."""
    identity, _ = await admitted(request)
    return identity


async def admitted(request: Request) -> tuple[Identity, str]:
    """Who is calling, and the display name known. Raises as `identity_of`, and `RateLimited` for one refusal too many."""
    request.state.authenticated = True  # whatever the answer is, it is for this caller alone
    try:
        return await _admitted(request, api_of(request))
    except NotAuthenticated:
        count_stranger(request)
        raise


def count_stranger(request: Request) -> None:
    """Count what nobody in particular asks for against its address. Raises `RateLimited`."""
    allowances, peer = api_of(request).allowances, request.client.host if request.client else ""
    allowances.strangers.take(allowances.address(peer, ",".join(request.headers.getlist("x-forwarded-for"))))


async def _admitted(request: Request, api: Api) -> tuple[Identity, str]:
    if "authorization" not in request.headers and api.sign_in is not None:
        identity = api.sign_in.sessions.identity(request)
        return identity, await api.admission.admit(identity)
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        raise NotAuthenticated
    identity = await api.authenticator.identify(token.strip())
    return identity, await api.admission.admit(identity)


async def body_of(request: Request, shape: type[BodyT]) -> BodyT:
    """The JSON body as `shape`. Raises `InvalidArgument` for another media type or shape, `TooLarge`."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise InvalidArgument("The body must be application/json")
    try:
        return msgspec.json.decode(await _read(request), type=shape)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        detail = str(error) if isinstance(error, msgspec.ValidationError) else "The body is not valid JSON"
        raise InvalidArgument(detail) from None


async def _read(request: Request) -> bytes:
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


async def ask(method: Any, message: Any) -> Any:
    """Call a service for a request. Raises what it raises."""
    return await call(method, message, timeout=CALL_SECONDS)


def number(request: Request, name: str, default: int, most: int = MAX_SEQ) -> int:
    """A whole number of the query, cut to `most`. Raises `InvalidArgument` for anything else."""
    given = request.query_params.get(name)
    if given is None:
        return default
    if not given.isascii() or not given.isdigit() or len(given) > 20:  # noqa: PLR2004 - more digits than any seq has
        raise InvalidArgument(f"{name} must be a whole number")
    return min(int(given), most)


def limit_of(request: Request, default: int, most: int) -> int:
    """The page size: at least 1, cut to `most`."""
    limit = number(request, "limit", default, most)
    if limit == 0:
        raise InvalidArgument("limit must be at least 1")
    return limit


def words(request: Request, name: str) -> str:
    """A text of the query; empty where there is none. Raises `InvalidArgument` for an unfit one."""
    given = request.query_params.get(name, "")
    if len(given) > _MAX_QUERY or "\x00" in given or not _encodable(given):
        raise InvalidArgument(f"{name} is not valid")
    return given


def name_in_path(request: Request, name: str) -> str:
    """A part of the path."""
    given: str = request.path_params[name]
    if "\x00" in given or not _encodable(given):
        raise InvalidArgument(f"{name} is not valid")
    return given


def answer(shape: Any, status: int = 200) -> Response:
    """A JSON answer."""
    return Response(_encode(shape), status, media_type="application/json")


def page(items: Sequence[Any], next_cursor: str = "") -> Response:
    """A list, and where it goes on."""
    shape: dict[str, Any] = {"items": items}
    if next_cursor:
        shape["next"] = next_cursor
    return answer(shape)


def nothing() -> Response:
    """What was removed."""
    return Response(status_code=204)


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True

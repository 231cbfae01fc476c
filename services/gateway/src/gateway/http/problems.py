"""Errors as `application/problem+json` (RFC 9457), with the fields `status title reason detail`."""

from __future__ import annotations

import math
from http import HTTPStatus

import msgspec
from starlette.responses import Response

from chassis.errors import HubbubError, NotAuthenticated, RateLimited, Unavailable

MEDIA_TYPE = "application/problem+json"
CHALLENGE = 'Bearer realm="hubbub"'


class Problem(msgspec.Struct, frozen=True):
    """The body."""

    status: int
    title: str
    reason: str
    detail: str


_encode = msgspec.json.Encoder().encode


def body_of(error: HubbubError, status: int | None = None) -> bytes:
    """The body for an error."""
    return _encode(Problem(status or error.http_status, error.title, error.reason, error.detail))


def headers_of(error: HubbubError) -> dict[str, str]:
    """The headers for an error."""
    headers = {"Cache-Control": "no-store"}
    match error:
        case NotAuthenticated():
            headers["WWW-Authenticate"] = CHALLENGE
        case RateLimited() | Unavailable():
            headers["Retry-After"] = str(max(1, math.ceil(error.retry_after)))
        case _:
            pass
    return headers


def response(error: HubbubError, status: int | None = None, headers: dict[str, str] | None = None) -> Response:
    """The answer for an error; `status` if HTTP has a more precise one than the error's."""
    return Response(
        body_of(error, status),
        status or error.http_status,
        media_type=MEDIA_TYPE,
        headers=headers_of(error) | (headers or {}),
    )


def raw(error: HubbubError, status: int | None = None, headers: dict[str, str] | None = None) -> bytes:
    """The whole answer as bytes, for a connection that closes afterwards."""
    code = HTTPStatus(status or error.http_status)
    body = body_of(error, status)
    fields = {
        "Content-Type": MEDIA_TYPE,
        "Content-Length": str(len(body)),
        "Connection": "close",
        **headers_of(error),
        **(headers or {}),
    }
    lines = [f"HTTP/1.1 {code.value} {code.phrase}", *(f"{name}: {value}" for name, value in fields.items()), "", ""]
    return "\r\n".join(lines).encode() + body

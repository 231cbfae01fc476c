"""What a request to an Engine.IO endpoint asks for, and how it is refused.

A refusal is JSON with the codes of Engine.IO's reference server, which clients show to their users.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from http import HTTPStatus
from urllib.parse import parse_qsl

import msgspec

from chassis.errors import HubbubError, NotAllowed, NotAuthenticated, RateLimited, TooLarge, Unavailable
from gateway.socketio.requests import Answer, Request

PROTOCOL = "4"
JSON = "application/json"


class Transport(Enum):
    """How packets travel."""

    POLLING = "polling"
    WEBSOCKET = "websocket"


class Refused(Exception):
    """The request is answered with this status and this JSON."""

    def __init__(self, code: int, message: str, status: HTTPStatus = HTTPStatus.BAD_REQUEST, retry_after: float = 0) -> None:
        super().__init__(message)
        self.status = status
        self.body = msgspec.json.encode({"code": code, "message": message})
        self.headers = {"Content-Type": JSON, "Cache-Control": "no-store"}
        if retry_after:
            self.headers["Retry-After"] = str(max(1, math.ceil(retry_after)))

    @classmethod
    def transport_unknown(cls) -> Refused:
        """`transport` is missing or not known."""
        return cls(0, "Transport unknown")

    @classmethod
    def session_unknown(cls) -> Refused:
        """There is no such session (any more): the client begins anew."""
        return cls(1, "Session ID unknown")

    @classmethod
    def bad_method(cls) -> Refused:
        """A session begins with `GET`."""
        return cls(2, "Bad handshake method")

    @classmethod
    def bad_request(cls, headers: Mapping[str, str] | None = None) -> Refused:
        """The session does not allow this request now, or its packets are not valid."""
        refused = cls(3, "Bad request")
        refused.headers |= headers or {}
        return refused

    @classmethod
    def protocol_unknown(cls) -> Refused:
        """`EIO` is missing or not 4."""
        return cls(5, "Unsupported protocol version")

    @classmethod
    def of(cls, error: HubbubError) -> Refused:
        """The refusal for an error. What passes by itself is 503, after which clients come back."""
        match error:
            case NotAuthenticated():
                return cls(4, error.reason, HTTPStatus.UNAUTHORIZED)
            case NotAllowed():
                return cls(4, error.reason, HTTPStatus.FORBIDDEN)
            case TooLarge():
                return cls(3, error.reason, HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
            case RateLimited() | Unavailable():
                return cls(3, error.reason, HTTPStatus.SERVICE_UNAVAILABLE, max(error.retry_after, 1.0))
            case _:
                return cls(3, error.reason, HTTPStatus(error.http_status))

    @property
    def answer(self) -> Answer:
        """The answer to an HTTP request."""
        return Answer(self.status, self.headers, self.body)

    def raw(self) -> bytes:
        """The whole answer as bytes, for a connection that closes afterwards."""
        fields = {**self.headers, "Content-Length": str(len(self.body)), "Connection": "close"}
        lines = [f"HTTP/1.1 {self.status.value} {self.status.phrase}", *(f"{name}: {value}" for name, value in fields.items())]
        return "\r\n".join([*lines, "", ""]).encode() + self.body


@dataclass(frozen=True, slots=True)
class Handshake:
    """A request to the endpoint."""

    query: Mapping[str, str]
    """Its parameters; of repeated ones the last."""
    fields: Mapping[str, str]
    """Its headers, by lower-case name."""
    peer: str
    """The address from which it comes."""
    transport: Transport
    session: str | None
    """The id of its session; None if it asks for a new one."""

    @classmethod
    def of(cls, request: Request) -> Handshake:
        """Raises `Refused` unless the parameters of the protocol are there."""
        parameters = dict(parse_qsl(request.query.decode("latin-1"), keep_blank_values=True))
        if parameters.get("EIO") != PROTOCOL:
            raise Refused.protocol_unknown()
        try:
            transport = Transport(parameters.get("transport"))
        except ValueError:
            raise Refused.transport_unknown() from None
        return cls(parameters, request.fields, request.peer, transport, parameters.get("sid"))

"""Cookies that only a gateway can read or make: sealed values, and the session of a user who has signed in with a browser.

A sealed value is a compact JWE (RFC 7516) under a key derived from `HUBBUB_SESSION_KEYS`: the first key seals, every key opens,
so a key can be replaced without signing users out. A session's cookie names a row of the messages service, which decides whether
the session still counts (`access_cache`).

Only pages of the server's own origin can use a session: a request that changes something needs that `Origin` (browsers send it
with every such request), no request may come from another site by `Sec-Fetch-Site`, and the WebSocket ignores cookies: it takes
a ticket, which is obtained by such a request.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from typing import Generic, TypeVar

import msgspec
from joserfc import jwe
from joserfc.errors import JoseError
from joserfc.jwk import OctKey
from starlette.requests import Request
from starlette.responses import Response

from chassis.config import Secret
from chassis.errors import NotAllowed, NotAuthenticated
from gateway.config import SignInConfig
from gateway.identity.identity import Identity

COOKIE = "hubbub"
SECURE_PREFIX = "__Host-"
"""Browsers accept such a cookie over TLS only, for this host only, and from no other host of its domain (RFC 6265bis)."""
COOKIE_BYTES = 3_800
"""A browser keeps 4,096, name and attributes included."""
_HEADER = {"alg": "dir", "enc": "A256GCM"}
_READING = frozenset({"GET", "HEAD"})
ValueT = TypeVar("ValueT")


class OversizeError(Exception):
    """A browser would not keep a cookie of this size."""


class Sealed(msgspec.Struct, Generic[ValueT], frozen=True, array_like=True):
    """The plaintext: a value, and its expiry in Unix seconds."""

    value: ValueT
    until: float


class Seal(Generic[ValueT]):
    """Seals values of one type for one purpose; a value sealed for another purpose does not open here."""

    def __init__(self, keys: Secret, purpose: str, shape: type[ValueT], clock: Callable[[], float] = time.time) -> None:
        self._keys = [_key(key, purpose) for key in keys.split(",")]
        self._decode = msgspec.msgpack.Decoder(Sealed[shape]).decode  # type: ignore[valid-type]
        self._clock = clock

    def close(self, value: ValueT, until: float) -> str:
        """A text fit for a cookie. Raises `OversizeError`."""
        text = jwe.encrypt_compact(_HEADER, msgspec.msgpack.encode(Sealed(value, until)), self._keys[0])
        if len(text) > COOKIE_BYTES:
            raise OversizeError
        return text

    def open(self, text: str) -> ValueT | None:
        """The value; None if it is not ours, was changed, or has expired."""
        if not text.isascii() or len(text) > COOKIE_BYTES:
            return None
        for key in self._keys:
            try:
                found: Sealed[ValueT] = self._decode(
                    jwe.decrypt_compact(text, key, algorithms=["dir", "A256GCM"]).plaintext or b""
                )
            except (JoseError, ValueError, msgspec.DecodeError):
                continue
            return found.value if self._clock() < found.until else None
        return None


class CookieSessions:
    """The sessions that browsers hold."""

    def __init__(self, config: SignInConfig) -> None:
        self._seal = Seal(config.session_keys, "session", Identity)
        self._own_origin = config.own_origin
        self._secure = config.over_tls
        """False in a local stack without TLS: then cookies have neither prefix nor `Secure`."""

    def name(self, suffix: str = "") -> str:
        """A cookie's name."""
        return (SECURE_PREFIX if self._secure else "") + COOKIE + suffix

    def set(self, response: Response, name: str, value: str, seconds: int) -> None:
        """Set a cookie for the whole host, out of reach of scripts; 0 seconds deletes it."""
        response.set_cookie(name, value, max_age=seconds, path="/", secure=self._secure, httponly=True, samesite="lax")

    def begin(self, response: Response, identity: Identity, seconds: int) -> None:
        """Sign in. Raises `NotAllowed` if the identity does not fit into a cookie."""
        try:
            value = self._seal.close(identity, identity.expires_at)
        except OversizeError:
            raise NotAllowed("The sign-in provider says too much about you for a cookie") from None
        self.set(response, self.name(), value, seconds)

    def end(self, response: Response) -> None:
        """Sign this browser out."""
        self.set(response, self.name(), "", 0)

    def known(self, request: Request) -> Identity | None:
        """The identity of the request's session; None without a valid one."""
        value = request.cookies.get(self.name())
        identity = self._seal.open(value) if value else None
        return identity if identity and identity.session else None  # a cookie without a session could never be ended

    def identity(self, request: Request) -> Identity:
        """The caller. Raises `NotAuthenticated`, and `NotAllowed` for a request that another origin's page may have made."""
        identity = self.known(request)
        if identity is None:
            raise NotAuthenticated
        self.check_origin(request)
        return identity

    def check_origin(self, request: Request) -> None:
        """Reject a request that a page of another origin may have made. Raises `NotAllowed`."""
        reading = request.method in _READING
        site = request.headers.get("sec-fetch-site", "same-origin")  # old browsers do not send it
        origin = request.headers.get("origin", self._own_origin if reading else "")
        if origin != self._own_origin or not (site == "same-origin" or (reading and site == "none")):
            raise NotAllowed("A cookie counts only for pages of this server")


def _key(secret: str, purpose: str) -> OctKey:
    return OctKey.import_key(hashlib.sha256(f"hubbub {purpose}\0{secret.strip()}".encode()).digest())

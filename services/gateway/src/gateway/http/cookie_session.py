"""A person's session in a cookie: the identity that a sign-in came to, sealed, so that any gateway can read it and none keeps it.

Pages of other origins cannot use it: a call that changes something counts only with an `Origin` that may (browsers send one with
every such call), and the socket never looks at cookies: it takes a ticket, bought with a call that does.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from chassis.errors import NotAllowed, NotAuthenticated
from gateway.config import SignInConfig
from gateway.connection import Identity
from gateway.cookies import OversizeError, Seal
from gateway.origin import may_use

COOKIE = "hubbub"
SECURE_PREFIX = "__Host-"
"""Browsers take such a cookie over TLS only, for this host alone, and from nobody else of its domain (RFC 6265bis)."""
_READING = frozenset({"GET", "HEAD"})


class CookieSessions:
    """What browsers hold of us."""

    def __init__(self, config: SignInConfig, allowed_origins: frozenset[str]) -> None:
        self._seal = Seal(config.session_keys, "session 1", Identity)
        self._allowed_origins = allowed_origins
        self._secure = config.over_tls
        """False in a local stack without TLS: then the cookie goes without prefix and `Secure`."""

    def name(self, suffix: str = "") -> str:
        """A cookie's name."""
        return (SECURE_PREFIX if self._secure else "") + COOKIE + suffix

    def set(self, response: Response, name: str, value: str, seconds: int) -> None:
        """Give a cookie to the browser, for the whole host, out of scripts' reach; 0 seconds takes it away."""
        response.set_cookie(name, value, max_age=seconds, path="/", secure=self._secure, httponly=True, samesite="lax")

    def begin(self, response: Response, identity: Identity, seconds: int) -> None:
        """Sign in. Raises `NotAllowed` where the provider says more about somebody than a cookie holds."""
        try:
            value = self._seal.close(identity, identity.expires_at)
        except OversizeError:
            raise NotAllowed("The sign-in provider says too much about you for a cookie") from None
        self.set(response, self.name(), value, seconds)

    def end(self, response: Response) -> None:
        """Sign out of this browser."""
        self.set(response, self.name(), "", 0)

    def known(self, request: Request) -> Identity | None:
        """Whose session came with a request, if it is good."""
        value = request.cookies.get(self.name())
        return self._seal.open(value) if value else None

    def identity(self, request: Request) -> Identity:
        """Who is calling. Raises `NotAuthenticated`, `NotAllowed` for what another origin's page may have done."""
        identity = self.known(request)
        if identity is None:
            raise NotAuthenticated
        self.check_origin(request)
        return identity

    def check_origin(self, request: Request) -> None:
        """Refuse a change that a page of another origin may have asked for. Raises `NotAllowed`."""
        if request.method in _READING:
            return
        origin = request.headers.get("origin")
        downgraded = self._secure and (origin or "").startswith("http://")
        if origin is None or downgraded or not may_use(origin, request.headers.get("host", ""), self._allowed_origins):
            raise NotAllowed("With a cookie, only a page of this server may change something")

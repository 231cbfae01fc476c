"""Lets pages of the allow list call the HTTP API and long-polling from their own origin (CORS, of the Fetch standard).

Such pages send tokens. Cookies are not shared with them, so `Access-Control-Allow-Credentials` is never sent. Pages of other
origins get no CORS headers, and their browsers withhold the answers.
"""

from __future__ import annotations

from collections.abc import Mapping

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Scope

_SHARED = ("/v1/", "/socket.io/")
"""What pages of other origins may call."""
_METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE"
_MAY_SEND = "Authorization, Content-Type, Idempotency-Key, X-Request-Id"
_MAY_READ = "Retry-After, WWW-Authenticate, X-Request-Id"
PREFLIGHT_SECONDS = 600
"""How long a browser may cache the answer."""


class Cors:
    """CORS headers."""

    def __init__(self, allowed_origins: frozenset[str]) -> None:
        self._allowed = allowed_origins

    def preflight(self, scope: Scope) -> Response | None:
        """The answer to a preflight request; None for any other request."""
        headers = Headers(scope=scope)
        if scope["method"] != "OPTIONS" or "access-control-request-method" not in headers or not self._may(scope, headers):
            return None
        return Response(
            status_code=204,
            headers={
                "Access-Control-Allow-Methods": _METHODS,
                "Access-Control-Allow-Headers": _MAY_SEND,
                "Access-Control-Max-Age": str(PREFLIGHT_SECONDS),
            },
        )

    def headers(self, scope: Scope) -> Mapping[str, str]:
        """The headers of an answer. `Vary` is always set on the API, as answers differ by origin."""
        if not scope["path"].startswith(_SHARED):
            return {}
        headers = Headers(scope=scope)
        if not self._may(scope, headers):
            return {"Vary": "Origin"}
        shown = {"Access-Control-Allow-Origin": headers["origin"], "Access-Control-Expose-Headers": _MAY_READ}
        return {"Vary": "Origin", **shown}

    def _may(self, scope: Scope, headers: Headers) -> bool:
        return scope["path"].startswith(_SHARED) and headers.get("origin", "") in self._allowed

"""Surrounds every HTTP request: request id, problem+json, security and CORS headers, a log line, a metric.

Query strings are never logged: tickets travel there.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, MutableMapping
from typing import Any

import structlog
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from chassis.context import request as work_for
from chassis.context import request_id_from
from chassis.errors import HubbubError, Internal
from chassis.metrics import DEFECTS
from gateway.http import problems
from gateway.http.cors import Cors
from gateway.metrics import HTTP_SECONDS

log = structlog.get_logger()
_QUIET = frozenset({"/healthz", "/readyz", "/metrics", "/socket.io/"})
"""Requested every few seconds by machines: measured, not logged."""


class Edge:
    """The outermost ASGI application."""

    def __init__(self, app: ASGIApp, headers: Mapping[str, str], cors: Cors) -> None:
        self._app = app
        self._headers = headers
        """Headers of every answer, unless its handler puts others into `request.state.headers`."""
        self._cors = cors

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        started = time.perf_counter()
        given = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"")
        request_id = request_id_from(given.decode("latin-1"))
        seen: MutableMapping[str, Any] = {"status": 0}
        scope.setdefault("state", {})

        async def send_on(message: Message) -> None:
            if message["type"] == "http.response.start":
                seen["status"] = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Request-Id"] = request_id
                own: Mapping[str, str] = scope["state"].get("headers", self._headers)
                for name, value in (*own.items(), *self._cors.headers(scope).items()):
                    headers.setdefault(name, value)
                if scope["state"].get("authenticated"):
                    headers["Cache-Control"] = "no-store"
            await send(message)

        with work_for(request_id):
            try:
                await (self._cors.preflight(scope) or self._app)(scope, receive, send_on)
            except Exception as error:  # the outermost handler
                known = error if isinstance(error, HubbubError) else Internal()
                if known is not error:
                    DEFECTS.labels("http").inc()
                    log.exception("request_failed", error=type(error).__name__)
                if not seen["status"]:
                    await problems.response(known)(scope, receive, send_on)
            finally:
                self._note(scope, seen["status"], time.perf_counter() - started)

    def _note(self, scope: Scope, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "path", "other")
        HTTP_SECONDS.labels(route, str(status)).observe(seconds)
        if route not in _QUIET:
            log.info(
                "request_answered",
                method=scope["method"],
                route=route,
                status=status,
                milliseconds=round(seconds * 1e3, 2),
            )

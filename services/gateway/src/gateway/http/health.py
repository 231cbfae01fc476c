"""/healthz, /readyz and /metrics."""

from __future__ import annotations

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from gateway.http.api import api_of
from gateway.http.operation import operation

_TEXT = "text/plain"


@operation({200: _TEXT}, cost=0)
async def healthz(request: Request) -> Response:
    """Liveness."""
    del request
    return PlainTextResponse("ok\n")


@operation({200: _TEXT, 503: _TEXT}, cost=0)
async def readyz(request: Request) -> Response:
    """Readiness: not draining, and following the bus."""
    if api_of(request).ready():
        return PlainTextResponse("ok\n")
    return PlainTextResponse("not ready\n", 503, headers={"Retry-After": "1"})


@operation({200: CONTENT_TYPE_LATEST}, cost=0)
async def metrics(request: Request) -> Response:
    """Prometheus metrics."""
    del request
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

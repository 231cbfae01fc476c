"""/healthz, /readyz and /metrics."""

from __future__ import annotations

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from gateway.http.api import api_of
from gateway.http.operation import operation

_TEXT = "text/plain"


@operation({200: _TEXT})
async def healthz(request: Request) -> Response:
    """Liveness."""
    del request
    return PlainTextResponse("ok\n")


@operation({200: _TEXT, 503: _TEXT})
async def readyz(request: Request) -> Response:
    """Readiness: not draining, and following the bus. The body also names what cannot be used at this moment."""
    ready, report = api_of(request).readiness()
    return PlainTextResponse(report) if ready else PlainTextResponse(report, 503, headers={"Retry-After": "1"})


@operation({200: CONTENT_TYPE_LATEST})
async def metrics(request: Request) -> Response:
    """Prometheus metrics."""
    del request
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

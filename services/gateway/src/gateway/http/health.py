"""/healthz, /readyz and /metrics. Where there is an ops port, the public port has only the first."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from chassis.lifecycle import State
from chassis.metrics import PAGE_TYPE, page
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
    """Ready: not draining, following the bus, and with room for connections. The body also names what cannot be used."""
    lifecycle = api_of(request).lifecycle
    ready = lifecycle.state is State.READY
    return PlainTextResponse(f"{lifecycle.report()}\n", 200 if ready else 503, {} if ready else {"Retry-After": "1"})


@operation({200: PAGE_TYPE}, cost=0)
async def metrics(request: Request) -> Response:
    """Prometheus metrics."""
    del request
    return Response(page(), media_type=PAGE_TYPE)

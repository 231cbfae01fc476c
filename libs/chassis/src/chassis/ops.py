"""Serves /healthz, /readyz and /metrics for processes without an HTTP server. The gateway serves its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from chassis.config import Address

_REQUEST_SECONDS = 5.0
_HEAD_BYTES = 8 * 1024


@asynccontextmanager
async def serve(listen: Address, readiness: Callable[[], tuple[bool, str]]) -> AsyncIterator[int]:
    """Serve inside the block; yield the port. `readiness` returns whether the process is ready, and the body of /readyz."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_REQUEST_SECONDS):
                head = await reader.readuntil(b"\r\n\r\n")
                writer.write(_response(head, readiness))
                await writer.drain()
        except (TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError):
            pass  # the client is gone or does not speak HTTP
        finally:
            writer.close()

    server = await asyncio.start_server(answer, listen.host, listen.port, limit=_HEAD_BYTES)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


def _response(head: bytes, readiness: Callable[[], tuple[bool, str]]) -> bytes:
    method, _, rest = head.partition(b" ")
    path = rest.partition(b" ")[0].partition(b"?")[0]
    status, kind, body = HTTPStatus.OK, "text/plain", b"ok\n"
    match (method, path):
        case (b"GET", b"/healthz"):
            pass
        case (b"GET", b"/readyz"):
            ready, report = readiness()
            status, body = HTTPStatus.OK if ready else HTTPStatus.SERVICE_UNAVAILABLE, report.encode()
        case (b"GET", b"/metrics"):
            kind, body = CONTENT_TYPE_LATEST, generate_latest()
        case _:
            status, body = HTTPStatus.NOT_FOUND, b"not found\n"
    lines = (
        f"HTTP/1.1 {status.value} {status.phrase}",
        f"Content-Type: {kind}",
        f"Content-Length: {len(body)}",
        "Connection: close",
        "",
        "",
    )
    return "\r\n".join(lines).encode() + body

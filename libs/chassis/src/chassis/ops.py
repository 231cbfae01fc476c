"""Serves /healthz, /readyz and /metrics on the ops port (`HUBBUB_OPS_LISTEN`), which no client reaches."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus

from chassis.config import Address
from chassis.metrics import PAGE_TYPE, page
from chassis.release import VERSION

READY = "ok"
_REQUEST_SECONDS = 5.0
_HEAD_BYTES = 8 * 1024


@asynccontextmanager
async def serve(listen: Address, report: Callable[[], str]) -> AsyncIterator[int]:
    """Serve inside the block; yield the port. /readyz answers with `report()`, and 200 if its first line is `READY`."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_REQUEST_SECONDS):
                head = await reader.readuntil(b"\r\n\r\n")
                writer.write(_response(head, report))
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


def _response(head: bytes, report: Callable[[], str]) -> bytes:
    method, _, rest = head.partition(b" ")
    path = rest.partition(b" ")[0].partition(b"?")[0]
    status, kind, body = HTTPStatus.OK, "text/plain", b""
    match (method, path):
        case (b"GET", b"/healthz"):
            body = f"ok\nrelease {VERSION}\n".encode()
        case (b"GET", b"/readyz"):
            text = report()
            body = f"{text}\n".encode()
            if text.partition("\n")[0] != READY:
                status = HTTPStatus.SERVICE_UNAVAILABLE
        case (b"GET", b"/metrics"):
            kind, body = PAGE_TYPE, page()
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

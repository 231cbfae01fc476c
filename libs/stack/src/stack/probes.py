"""Cheap probes of servers. Each opens one connection, waits at most a second, and never raises."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

_TIMEOUT_SECONDS = 1.0


async def http_ok(host: str, port: int, path: str) -> bool:
    """Return whether GET `path` answers 200."""
    request = f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n"
    status = await lines(host, port, request.encode(), 1)
    return bool(status) and status[0].split(b" ")[1:2] == [b"200"]


async def lines(host: str, port: int, request: bytes, count: int) -> list[bytes]:
    """Send `request` and return the first `count` lines of the response, or none if they do not arrive in time."""
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(_TIMEOUT_SECONDS), _connection(host, port) as (reader, writer):
            writer.write(request)
            return [await reader.readline() for _ in range(count)]
    return []


@contextlib.asynccontextmanager
async def _connection(host: str, port: int) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection(host, port)
    try:
        yield reader, writer
    finally:
        writer.close()

"""Socket.IO clients that poll: each has one HTTP connection, on which its next request waits at the gateway."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import ExitStack, asynccontextmanager

from bench.generator import LoadError

_PATH = "/socket.io/?EIO=4&transport=polling"
_AT_ONCE = 32
_OPEN_SECONDS = 300
_SEPARATOR = b"\x1e"
_PING, _PONG, _CONNECT = b"2", b"3", b"40"
_HELLO = b'42["hello",'


@asynccontextmanager
async def polling(target: str, tokens: Sequence[str]) -> AsyncIterator[None]:
    """Open a session for each token. Inside the block a request of each waits. Raises LoadError if one fails."""
    limit = asyncio.Semaphore(_AT_ONCE)
    clients = [_Client(target, token) for token in tokens]
    with ExitStack() as connections:
        for client in clients:
            connections.callback(client.close)
        try:
            async with asyncio.TaskGroup() as group:
                async with asyncio.timeout(_OPEN_SECONDS), asyncio.TaskGroup() as opening:
                    for client in clients:
                        opening.create_task(client.open(limit))
                waiting = [group.create_task(client.poll()) for client in clients]
                yield
                for task in waiting:
                    task.cancel()
        except ExceptionGroup as failed:
            raise LoadError(f"A client that polls failed: {failed.exceptions[0]!r}") from failed


class _Client:
    """One session."""

    def __init__(self, target: str, token: str) -> None:
        self._host, _, port = target.partition(":")
        self._port = int(port)
        self._token = token
        self._path = _PATH
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter | None = None

    async def open(self, limit: asyncio.Semaphore) -> None:
        """Open the session, and read up to `hello`."""
        async with limit:
            self._reader, self._writer = await asyncio.open_connection(self._host, self._port)
            self._path += "&sid=" + json.loads((await self._request("GET"))[1:])["sid"]
            await self._request("POST", _CONNECT)
            while _HELLO not in await self._request("GET"):
                pass

    async def poll(self) -> None:
        """Poll, and answer pings."""
        while True:
            if _PING in (await self._request("GET")).split(_SEPARATOR):
                await self._request("POST", _PONG)

    def close(self) -> None:
        """Drop the connection, which ends the session."""
        if self._writer is not None:
            self._writer.close()

    async def _request(self, method: str, body: bytes = b"") -> bytes:
        """Send a request, and return the body of its answer."""
        assert self._writer is not None  # noqa: S101 - narrows the type
        head = f"{method} {self._path} HTTP/1.1\r\nHost: {self._host}\r\nAuthorization: Bearer {self._token}\r\n"
        self._writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        status, _, fields = (await self._reader.readuntil(b"\r\n\r\n")).lower().partition(b"\r\n")
        if b" 200" not in status:
            raise LoadError(f"{method} was answered with {status.decode()}")
        size = next(line.partition(b":")[2] for line in fields.splitlines() if line.startswith(b"content-length:"))
        return await self._reader.readexactly(int(size))

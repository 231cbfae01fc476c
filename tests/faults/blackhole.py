"""A TCP proxy whose lines can be made to swallow everything, as a dead router does: nothing arrives and nobody is told.

Leaves what flows through it to the two ends.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator

_CHUNK_BYTES = 65_536


class Blackhole:
    """Lines to one server. While `open` is not set, bytes of both directions disappear; the connections stay."""

    def __init__(self, host: str, port: int) -> None:
        self._server = (host, port)
        self.open = asyncio.Event()
        """Set while bytes get through."""
        self.open.set()
        self.url = ""
        """http://host:port of the proxy, once it listens."""
        self._lines: set[asyncio.Task[None]] = set()
        """One task for each connection."""

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator["Blackhole"]:
        """Listen on a free port for the length of the block."""
        server = await asyncio.start_server(self._connect, "127.0.0.1", 0)
        host, port = server.sockets[0].getsockname()[:2]
        self.url = f"http://{host}:{port}"
        try:
            yield self
        finally:
            server.close()
            for line in self._lines:
                line.cancel()
            await asyncio.gather(*self._lines, return_exceptions=True)

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = asyncio.current_task()
        if line is not None:
            self._lines.add(line)
            line.add_done_callback(self._lines.discard)
        with contextlib.suppress(OSError):
            far_reader, far_writer = await asyncio.open_connection(*self._server)
            try:
                await asyncio.gather(self._pump(reader, far_writer), self._pump(far_reader, writer))
            finally:
                far_writer.transport.abort()
        writer.transport.abort()

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        """Carry bytes until the source ends. What is swallowed once breaks the line for good: it never opens again."""
        whole = True
        while chunk := await source.read(_CHUNK_BYTES):
            whole = whole and self.open.is_set()
            if whole:
                sink.write(chunk)
                await sink.drain()
        sink.close()

"""A TCP proxy that can drop all bytes without closing its connections, as a dead router does."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

_CHUNK_BYTES = 65_536


class Blackhole:
    """Connections to one server. While `open` is cleared, bytes in both directions are dropped; the connections stay open."""

    def __init__(self, host: str, port: int) -> None:
        self._server = (host, port)
        self.open = asyncio.Event()
        """Set while bytes are forwarded."""
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
        """Forward bytes until the source ends. A connection that has lost bytes never forwards again."""
        whole = True
        while chunk := await source.read(_CHUNK_BYTES):
            whole = whole and self.open.is_set()
            if whole:
                sink.write(chunk)
                await sink.drain()
        sink.close()

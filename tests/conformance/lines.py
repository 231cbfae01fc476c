"""The line protocol with the client under test: one JSON object per line, commands to its adapter and reports from it.

One adapter runs many clients side by side; `client` names the one that a line is about.
"""

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator, Sequence
from typing import Any

Report = dict[str, Any]
_LINE_BYTES = 1 << 20
_STOP_SECONDS = 5.0


class Adapter:
    """The adapter's two streams."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._reports: dict[str, asyncio.Queue[Report | None]] = {}
        self._ended = False

    def client(self, name: str) -> "asyncio.Queue[Report | None]":
        """The reports of one client; None after the adapter's end."""
        queue = self._reports.setdefault(name, asyncio.Queue())
        if self._ended:
            queue.put_nowait(None)
        return queue

    async def tell(self, client: str, do: str, **fields: Any) -> None:
        """Write a command. An adapter that has ended is noticed by its missing reports."""
        self._writer.write((json.dumps({"client": client, "do": do, **fields}) + "\n").encode())
        with contextlib.suppress(ConnectionError):
            await self._writer.drain()

    async def read(self) -> None:
        """Hand out reports until the adapter ends. Raises ValueError for a line that is no report."""
        try:
            async for line in self._reader:
                report = json.loads(line)
                if not isinstance(report, dict) or "report" not in report:
                    raise ValueError(f"not a report: {line!r}")
                self.client(str(report.get("client"))).put_nowait(report)
        finally:
            self._ended = True
            for queue in self._reports.values():
                queue.put_nowait(None)


@contextlib.asynccontextmanager
async def started(command: Sequence[str]) -> AsyncIterator[Adapter]:
    """Start an adapter program; it ends when its standard input does. Its standard error is passed through."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe, limit=_LINE_BYTES)
    if process.stdin is None or process.stdout is None:
        raise AssertionError
    adapter = Adapter(process.stdout, process.stdin)
    reading = asyncio.create_task(adapter.read())
    try:
        yield adapter
    finally:
        process.stdin.close()
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()
        reading.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await reading


@contextlib.asynccontextmanager
async def on_own_streams() -> AsyncIterator[Adapter]:
    """The adapter at the other end of this process's standard streams."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=_LINE_BYTES)
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    transport, protocol = await loop.connect_write_pipe(asyncio.streams.FlowControlMixin, sys.stdout)
    adapter = Adapter(reader, asyncio.StreamWriter(transport, protocol, None, loop))
    reading = asyncio.create_task(adapter.read())
    try:
        yield adapter
    finally:
        reading.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await reading

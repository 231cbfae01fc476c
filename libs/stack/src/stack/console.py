"""The terminal output: the lines of all processes, each with its process's name."""

import asyncio
import queue
import threading
from typing import IO, TextIO

_COLOURS = (36, 33, 32, 35, 34, 31)
_NAME_WIDTH = 17  # messages-worker-0
_CHUNK_BYTES = 65_536
_QUEUE_LINES = 10_000


class Console:
    """Prints from its own thread, so that a blocked terminal or pipe never stops the supervisor.

    When 10,000 lines are queued, new lines are dropped and counted.
    """

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._coloured = out.isatty()
        """Whether names are coloured."""
        self._colours: dict[str, int] = {}
        """Colour by process name."""
        self._queue: queue.Queue[str | None] = queue.Queue(_QUEUE_LINES)
        """Lines to print; None ends the thread."""
        self._dropped = 0
        """Lines dropped since the last one that was queued."""
        self._thread = threading.Thread(target=self._print, daemon=True)
        """A daemon, because a write may block forever."""
        self._thread.start()

    def write(self, text: str) -> None:
        """Print a line without a prefix."""
        if self._dropped:
            text = f"({self._dropped} lines dropped)\n{text}"
        try:
            self._queue.put_nowait(text)
        except queue.Full:
            self._dropped += 1
        else:
            self._dropped = 0

    def line(self, name: str, text: str) -> None:
        """Print a line of the process `name`, with its name as the prefix."""
        prefix = f"{name:<{_NAME_WIDTH}} |"
        if self._coloured:
            colour = self._colours.setdefault(name, _COLOURS[len(self._colours) % len(_COLOURS)])
            prefix = f"\x1b[{colour}m{prefix}\x1b[0m"
        self.write(f"{prefix} {text}")

    async def follow(self, name: str, pipe: IO[bytes]) -> None:
        """Print what a process writes to `pipe` until it closes its end. Lines are split at 64 KiB. Closes `pipe`."""
        stream = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(stream), pipe)
        rest = b""
        while chunk := await stream.read(_CHUNK_BYTES):
            *whole, rest = (rest + chunk).split(b"\n")
            if len(rest) >= _CHUNK_BYTES:
                whole.append(rest)
                rest = b""
            for line in whole:
                self.line(name, line.decode(errors="replace"))
        if rest:
            self.line(name, rest.decode(errors="replace"))

    def close(self, timeout_seconds: float = 1.0) -> None:
        """Print the queued lines, for at most `timeout_seconds`."""
        try:
            self._queue.put(None, timeout=timeout_seconds)
        except queue.Full:
            return
        self._thread.join(timeout_seconds)

    def _print(self) -> None:
        try:
            while (text := self._queue.get()) is not None:
                print(text, file=self._out, flush=True)
        except OSError:  # the reader is gone
            return

"""What the person at the terminal sees: the lines of all processes, each behind its process's name.

Leaves what the lines say to the processes.
"""

import asyncio
import queue
import threading
from typing import IO, TextIO

_COLOURS = (36, 33, 32, 35, 34, 31)
_NAME_WIDTH = 17  # messages-worker-0
_CHUNK_BYTES = 65_536
_QUEUE_LINES = 10_000


class Console:
    """Prints from a thread of its own, so that a terminal or a pipe that nobody reads never stops the supervisor.

    When the reader is more than 10,000 lines behind, new lines are dropped and counted.
    """

    def __init__(self, out: TextIO) -> None:
        self._out = out
        """Where it prints."""
        self._coloured = out.isatty()
        """Whether names have colours."""
        self._colours: dict[str, int] = {}
        """The colour of each name, in order of appearance."""
        self._queue: queue.Queue[str | None] = queue.Queue(_QUEUE_LINES)
        """Lines to print; None ends the thread."""
        self._dropped = 0
        """Lines that found the queue full since the last that did not."""
        self._thread = threading.Thread(target=self._print, daemon=True)
        """Prints; a daemon, for it may hang in a write for ever."""
        self._thread.start()

    def say(self, text: str) -> None:
        """Print the supervisor's own word, without a prefix."""
        if self._dropped:
            text = f"({self._dropped} lines dropped)\n{text}"
        try:
            self._queue.put_nowait(text)
        except queue.Full:
            self._dropped += 1
        else:
            self._dropped = 0

    def line(self, name: str, text: str) -> None:
        """Print a line of the process `name`."""
        prefix = f"{name:<{_NAME_WIDTH}} |"
        if self._coloured:
            colour = self._colours.setdefault(name, _COLOURS[len(self._colours) % len(_COLOURS)])
            prefix = f"\x1b[{colour}m{prefix}\x1b[0m"
        self.say(f"{prefix} {text}")

    async def follow(self, name: str, pipe: IO[bytes]) -> None:
        """Print everything that a process writes, until it closes its output. A line is cut at 64 KiB. Closes `pipe`."""
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
        """Print what is still queued, as far as the reader takes it in time."""
        try:
            self._queue.put(None, timeout=timeout_seconds)
        except queue.Full:
            return
        self._thread.join(timeout_seconds)

    def _print(self) -> None:
        try:
            while (text := self._queue.get()) is not None:
                print(text, file=self._out, flush=True)
        except OSError:  # the reader is gone; nobody is left to be told
            return

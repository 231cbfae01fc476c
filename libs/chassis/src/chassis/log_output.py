"""Writes log lines to a file descriptor without ever blocking the caller: a stuck log collector must not stop the event loop.

A line is written at once while the reader keeps up. Otherwise lines wait in memory, within a bound of bytes, and a thread writes
them; beyond the bound they are dropped and counted. A pipe that is reported as writable takes `PIPE_BUF` bytes without blocking
(pipe(7)), so no more than that is written at a time.
"""

from __future__ import annotations

import atexit
import os
import select
import threading
from collections import deque
from contextlib import suppress

from chassis.metrics import LOG_DROPPED

BYTES = 4 * 1024 * 1024
"""Of lines that wait."""
EXIT_SECONDS = 1.0
"""The longest that the end of the process waits for the reader."""


class LogOutput:
    """A text file for `structlog.WriteLoggerFactory`. Every `write` is one line."""

    def __init__(self, descriptor: int, most_bytes: int = BYTES) -> None:
        self._descriptor = descriptor
        self._most_bytes = most_bytes
        self._ready = select.poll()
        self._ready.register(descriptor, select.POLLOUT)
        self._lock = threading.Lock()
        self._lines: deque[bytes] = deque()
        self._size = 0
        """Bytes of the waiting lines."""
        self._writing = False
        """A thread is writing the waiting lines."""
        self._emptied = threading.Event()
        self._emptied.set()
        atexit.register(self.wait, EXIT_SECONDS)

    def write(self, line: str) -> int:
        """Write a line, or have it written; drop it when too many wait."""
        data = line.encode(errors="backslashreplace")
        with self._lock:
            if not self._writing:
                data = self._write_now(data)
            if not data:
                return len(line)
            if self._size + len(data) > self._most_bytes:
                LOG_DROPPED.inc()
                return len(line)
            self._lines.append(data)
            self._size += len(data)
            if not self._writing:
                self._writing = True
                self._emptied.clear()
                threading.Thread(target=self._drain, name="log-output", daemon=True).start()
        return len(line)

    def flush(self) -> None:
        """Nothing is kept back that can be written."""

    def wait(self, seconds: float) -> bool:
        """Wait until every line is written; False if the reader did not take them in time."""
        return self._emptied.wait(seconds)

    def _write_now(self, data: bytes) -> bytes:
        """Write what does not block. Returns the rest."""
        with suppress(OSError):  # the reader is gone
            while data and any(event & select.POLLOUT for _, event in self._ready.poll(0)):
                data = data[os.write(self._descriptor, data[: select.PIPE_BUF]) :]
            return data
        return b""

    def _drain(self) -> None:
        """Write what waits, at the pace of the reader."""
        while True:
            with self._lock:
                if not self._lines:
                    self._writing = False
                    self._emptied.set()
                    return
                line = self._lines.popleft()
                self._size -= len(line)
            with suppress(OSError):
                while line:
                    line = line[os.write(self._descriptor, line) :]

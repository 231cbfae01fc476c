"""The updates that the application has not read yet: a queue bounded in bytes that never blocks the connection."""

import asyncio
from collections import deque
from collections.abc import Callable

from hubbub_client.errors import HubbubError
from hubbub_client.updates import Update

_OVERHEAD_BYTES = 300
"""An update without its text."""


class Feed:
    """One writer, the connection, and one reader, the application.

    An event or signal that does not fit is refused, and the connection asks the server for the events again once there is room.
    What must not be missed (`insist`) waits beside the queue, the newest for each channel, so that it is bounded as well.
    """

    def __init__(self, limit_bytes: int, on_room: Callable[[], None]) -> None:
        self._limit = limit_bytes
        self._on_room = on_room
        """Called when the queue was full and is half empty again."""
        self._queue: deque[tuple[Update, int]] = deque()
        self._late: dict[str, Update] = {}
        """Updates that found the queue full, by channel."""
        self._bytes = 0
        self._full = False
        self._news = asyncio.Event()
        self._end: HubbubError | None = None

    def offer(self, update: Update, size: int) -> bool:
        """Add an update of so many bytes; False if there is no room. An empty queue has room for any update."""
        if self._queue and (self._full or self._bytes + size + _OVERHEAD_BYTES > self._limit):
            self._full = True
            return False
        self._add(update, size + _OVERHEAD_BYTES)
        return True

    def insist(self, channel: str, update: Update) -> None:
        """Add an update that must not be missed; it replaces an earlier one of the channel that still waits for room."""
        if not self.offer(update, 0):
            self._late[channel] = update

    def end(self, error: HubbubError) -> None:
        """Raise this from `take` once the queue is empty."""
        self._end = self._end or error
        self._news.set()

    async def take(self) -> Update:
        """Wait for the next update. Raises what `end` was given."""
        while not self._queue:
            if self._end is not None:
                raise self._end
            self._news.clear()
            await self._news.wait()
        update, size = self._queue.popleft()
        self._bytes -= size
        if self._full and self._bytes <= self._limit // 2:
            self._full = False
            for late in self._late.values():
                self._add(late, _OVERHEAD_BYTES)
            self._late.clear()
            self._on_room()
        return update

    def _add(self, update: Update, size: int) -> None:
        self._queue.append((update, size))
        self._bytes += size
        self._news.set()

"""Messages that are not yet acknowledged: sends them in order per channel, and repeats each under the same key until the answer.

Guarantee: a message leaves the outbox when the server has stored it, has refused it, or when its sender gives up.
"""

import asyncio
import time
from collections import deque
from collections.abc import Mapping
from typing import Any

from hubbub_client.errors import HubbubError, OutboxFull, Refused
from hubbub_client.updates import Stored

_REPEATED = frozenset({"RATE_LIMITED", "SLOW_MODE", "UNAVAILABLE"})
"""Reasons after which the same frame may succeed; so it may after every reason that comes with `retry_after`."""
_REPEAT_SECONDS = 2.0
"""Before a repetition, where the server names no time."""
_RECENT_SECONDS = 120.0
_RECENT_MAX = 200
"""Stored messages are sent again for this long if the store has lost entries, but at most so many of them."""


class Outgoing:
    """One message on its way. Await `stored` for the outcome; it raises Refused or Ended."""

    def __init__(self, frame: dict[str, Any], size: int, stored: asyncio.Future[Stored]) -> None:
        self.frame = frame
        self.size = size
        """Bytes of the frame."""
        self.stored = stored
        """The outcome."""

    @property
    def key(self) -> str:
        """The idempotency key."""
        key: str = self.frame["key"]
        return key

    @property
    def channel(self) -> str:
        """The channel's id."""
        channel: str = self.frame["channel"]
        return channel


class Outbox:
    """At most one message per channel is unanswered at a time, so that a repetition cannot change the order."""

    def __init__(self, limit_bytes: int, answer_seconds: float) -> None:
        self._limit = limit_bytes
        self._answer_seconds = answer_seconds
        self._bytes = 0
        self._waiting: dict[str, deque[Outgoing]] = {}
        """Messages by channel, the next one first; the first one may be on its way."""
        self._by_key: dict[str, Outgoing] = {}
        self._busy: dict[str, asyncio.TimerHandle] = {}
        """Channels whose first message waits for an answer or for its repetition."""
        self._ready: dict[str, None] = {}
        """Channels that have something to send, in order."""
        self._news = asyncio.Event()
        self._recent: deque[tuple[float, Outgoing]] = deque(maxlen=_RECENT_MAX)

    def add(self, item: Outgoing) -> None:
        """Add a message at the end of its channel. Raises OutboxFull, ValueError for a key that is waiting already."""
        if item.key in self._by_key:
            raise ValueError(f"a message with the key {item.key} waits already")
        if self._bytes + item.size > self._limit:
            raise OutboxFull(f"{len(self._by_key)} messages wait")
        self._by_key[item.key] = item
        self._bytes += item.size
        self._waiting.setdefault(item.channel, deque()).append(item)
        self._wake(item.channel)

    def discard(self, key: str) -> None:
        """Give up a message. If it was on its way it may be stored."""
        item = self._by_key.get(key)
        if item is not None:
            self._remove(item)

    async def next(self) -> Outgoing:
        """Wait for the next message to send. It is repeated unless `acked` or `refused` is called for it in time."""
        while True:
            for channel in list(self._ready):
                del self._ready[channel]
                if channel not in self._busy and self._waiting.get(channel):
                    self._block(channel, self._answer_seconds)
                    return self._waiting[channel][0]
            self._news.clear()
            await self._news.wait()

    def closed(self) -> None:
        """The connection ended: everything unanswered is sent again on the next one."""
        for timer in self._busy.values():
            timer.cancel()
        self._busy.clear()
        for channel in self._waiting:
            self._wake(channel)

    def acked(self, frame: Mapping[str, Any]) -> bool:
        """Take an `ack`; False if it belongs to no message here."""
        item = self._of(frame)
        if item is None:
            return False
        self._remove(item)
        self._recent.append((time.monotonic(), item))
        if not item.stored.done():
            item.stored.set_result(Stored.of(frame))
        return True

    def refused(self, frame: Mapping[str, Any]) -> bool:
        """Take an `error`; False if it belongs to no message here."""
        item = self._of(frame)
        if item is None:
            return False
        reason, wait = frame["reason"], frame.get("retry_after")
        if reason in _REPEATED or wait is not None:
            self._block(item.channel, _REPEAT_SECONDS if wait is None else wait)
            return True
        self._remove(item)
        if not item.stored.done():
            item.stored.set_exception(Refused(reason, frame.get("detail", "")))
        return True

    def lost(self) -> None:
        """The store has lost entries: send again what it stored lately. What it still has is not stored twice."""
        since = time.monotonic() - _RECENT_SECONDS
        again = [item for at, item in self._recent if at >= since and item.key not in self._by_key]
        self._recent.clear()
        for item in reversed(again):
            self._by_key[item.key] = item
            self._bytes += item.size
            self._waiting.setdefault(item.channel, deque()).appendleft(item)
            self._wake(item.channel)

    def end(self, error: HubbubError) -> None:
        """Fail everything that waits."""
        for item in list(self._by_key.values()):
            self._remove(item)
            if not item.stored.done():
                item.stored.set_exception(error)

    def _of(self, frame: Mapping[str, Any]) -> Outgoing | None:
        ref = frame.get("ref")
        return self._by_key.get(ref) if isinstance(ref, str) else None

    def _remove(self, item: Outgoing) -> None:
        del self._by_key[item.key]
        self._bytes -= item.size
        queue = self._waiting[item.channel]
        if queue[0] is item and (timer := self._busy.pop(item.channel, None)) is not None:
            timer.cancel()
        queue.remove(item)
        if queue:
            self._wake(item.channel)
        else:
            del self._waiting[item.channel]

    def _block(self, channel: str, seconds: float) -> None:
        """Send nothing to the channel for so long."""
        if (timer := self._busy.pop(channel, None)) is not None:
            timer.cancel()
        self._busy[channel] = asyncio.get_running_loop().call_later(seconds, self._unblock, channel)

    def _unblock(self, channel: str) -> None:
        self._busy.pop(channel, None)
        self._wake(channel)

    def _wake(self, channel: str) -> None:
        self._ready[channel] = None
        self._news.set()

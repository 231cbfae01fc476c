"""Signals in this process, for tests. They pass the same contract suite as the Redis implementation."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Self

from bus import metrics
from bus.signals import Signal, SignalQueue


class MemorySignals:
    """Implements `signals.Signals` in memory."""

    def __init__(self, clock: Callable[[], float] | None = None) -> None:
        self._clock = clock or (lambda: asyncio.get_running_loop().time())
        """Seconds since an arbitrary origin."""
        self._listeners: dict[str, list[SignalQueue]] = {}
        self._values: dict[str, tuple[bytes, float]] = {}
        """Value and expiry time, by name."""

    async def send(self, name: str, payload: bytes) -> None:
        """Send to the current listeners."""
        metrics.SIGNALS.labels("sent").inc()
        for queue in self._listeners.get(name, ()):
            queue.put(Signal(name, payload))

    def listen(self, names: Sequence[str]) -> _Listener:
        """Receive signals sent from now on."""
        return _Listener(self._listeners, names)

    async def put(self, name: str, value: bytes, seconds: float) -> None:
        """Keep a value for `seconds`."""
        now = self._clock()
        self._values = {other: kept for other, kept in self._values.items() if kept[1] > now}
        self._values[name] = (value, now + seconds)

    async def take(self, name: str) -> bytes | None:
        """Remove a value and return it."""
        value, expiry = self._values.pop(name, (None, 0.0))
        return value if self._clock() < expiry else None

    def close(self) -> None:
        """Do nothing: there is no connection."""


class _Listener:
    """The context manager and iterator of one listener."""

    def __init__(self, listeners: dict[str, list[SignalQueue]], names: Sequence[str]) -> None:
        self._listeners = listeners
        self._names = names
        self._queue = SignalQueue()

    async def __aenter__(self) -> Self:
        for name in self._names:
            self._listeners.setdefault(name, []).append(self._queue)
        return self

    async def __aexit__(self, *_: object) -> None:
        for name in self._names:
            self._listeners[name].remove(self._queue)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Signal:
        return await self._queue.get()

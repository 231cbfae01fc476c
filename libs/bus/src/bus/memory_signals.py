"""Signals inside one process: for tests of what uses them, held to the same contract suite as the real ones."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Self

from bus import metrics
from bus.mailbox import Mailbox
from bus.signals import Signal


class MemorySignals:
    """Signals in memory. See `signals.Signals` for what a caller may rely on."""

    def __init__(self, clock: Callable[[], float] | None = None) -> None:
        self._clock = clock or (lambda: asyncio.get_running_loop().time())
        """Seconds, from anywhere."""
        self._listeners: dict[str, list[Mailbox]] = {}
        self._values: dict[str, tuple[bytes, float]] = {}
        """Value and when it expires."""

    async def send(self, name: str, payload: bytes) -> None:
        """Reach whoever listens now."""
        metrics.SIGNALS.labels("sent").inc()
        for mailbox in self._listeners.get(name, ()):
            mailbox.put(Signal(name, payload))

    def listen(self, names: Sequence[str]) -> _Listener:
        """Hear what is sent from now on."""
        return _Listener(self._listeners, names)

    async def put(self, name: str, value: bytes, seconds: float) -> None:
        """Keep a value for a while."""
        now = self._clock()
        self._values = {other: kept for other, kept in self._values.items() if kept[1] > now}
        self._values[name] = (value, now + seconds)

    async def take(self, name: str) -> bytes | None:
        """Take a value away."""
        value, expiry = self._values.pop(name, (None, 0.0))
        return value if self._clock() < expiry else None

    def close(self) -> None:
        """Nothing to drop."""


class _Listener:
    """One listener's block."""

    def __init__(self, listeners: dict[str, list[Mailbox]], names: Sequence[str]) -> None:
        self._listeners = listeners
        self._names = names
        self._mailbox = Mailbox()

    async def __aenter__(self) -> Self:
        for name in self._names:
            self._listeners.setdefault(name, []).append(self._mailbox)
        return self

    async def __aexit__(self, *_: object) -> None:
        for name in self._names:
            self._listeners[name].remove(self._mailbox)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Signal:
        return await self._mailbox.get()

"""Data that may be lost: signals (typing, presence) and values that one caller can take (tickets)."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from bus import metrics

_QUEUED_SIGNALS = 4_096


@dataclass(frozen=True, slots=True)
class Signal:
    """A payload sent under a name."""

    name: str
    payload: bytes


class Signals(Protocol):
    """Fire-and-forget messages between processes. Every call has a deadline and raises `BusUnavailable` when it passes."""

    async def send(self, name: str, payload: bytes) -> None:
        """Send to the listeners that are subscribed to `name` now. Later listeners never see it."""
        ...

    def listen(self, names: Sequence[str]) -> AbstractAsyncContextManager[AsyncIterator[Signal]]:
        """Receive signals sent after the block is entered.

        Signals are missed while the bus is unreachable, and the oldest are dropped when the listener is slow.
        """
        ...

    async def put(self, name: str, value: bytes, seconds: float) -> None:
        """Keep a value for `seconds`."""
        ...

    async def take(self, name: str) -> bytes | None:
        """Remove a value and return it; only one caller gets it. None when unknown, expired or taken."""
        ...


class SignalQueue:
    """A bounded queue for one listener. When it is full, the oldest signal is dropped."""

    def __init__(self) -> None:
        self._signals: deque[Signal] = deque(maxlen=_QUEUED_SIGNALS)
        self._not_empty = asyncio.Event()

    def put(self, signal: Signal) -> None:
        """Add a signal, dropping the oldest when full."""
        direction = "dropped" if len(self._signals) == _QUEUED_SIGNALS else "received"
        metrics.SIGNALS.labels(direction).inc()
        self._signals.append(signal)
        self._not_empty.set()

    async def get(self) -> Signal:
        """Wait for the next signal and remove it."""
        while not self._signals:
            self._not_empty.clear()
            await self._not_empty.wait()
        return self._signals.popleft()

"""A bounded queue of signals that forgets the oldest when its reader is slow.

Leaves where signals come from to the implementations.
"""

from __future__ import annotations

import asyncio
from collections import deque

from bus import metrics
from bus.signals import Signal

_BOUND = 4_096


class Mailbox:
    """Signals on their way to one reader."""

    def __init__(self) -> None:
        self._signals: deque[Signal] = deque(maxlen=_BOUND)
        self._some = asyncio.Event()
        """Set while there are any."""

    def put(self, signal: Signal) -> None:
        """Add a signal; at the bound the oldest is dropped."""
        direction = "dropped" if len(self._signals) == _BOUND else "received"
        metrics.SIGNALS.labels(direction).inc()
        self._signals.append(signal)
        self._some.set()

    async def get(self) -> Signal:
        """Wait for the next signal and take it."""
        while not self._signals:
            self._some.clear()
            await self._some.wait()
        return self._signals.popleft()

"""What may be lost: signals (typing, presence) and values that can be taken once (tickets)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Signal:
    """A payload that somebody sent just now."""

    name: str
    payload: bytes


class Signals(Protocol):
    """Fire and forget between processes. Calls have a deadline and raise `BusUnavailable` past it."""

    async def send(self, name: str, payload: bytes) -> None:
        """Reach whoever listens to `name` at this moment; nobody else, ever."""
        ...

    def listen(self, names: Sequence[str]) -> AbstractAsyncContextManager[AsyncIterator[Signal]]:
        """Signals sent after the block is entered; some are missed while the bus is out of reach or the listener too slow."""
        ...

    async def put(self, name: str, value: bytes, seconds: float) -> None:
        """Keep a value for `seconds`."""
        ...

    async def take(self, name: str) -> bytes | None:
        """Take a value away: of all who ask, at any process, one gets it. None when unknown, expired or taken."""
        ...

"""Opens the bus and the signals at a URL.

    redis://[user:password@]host[:port][/database]    a Redis or Valkey server; rediss:// for TLS
    memory://                                         in this process, for tests

Opening sends nothing, so it succeeds while the server is down. Call `ping` to check.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from bus.bus import Bus
from bus.memory import MemoryBus
from bus.memory_signals import MemorySignals
from bus.redis_signals import RedisSignals
from bus.redis_streams import RedisBus
from bus.signals import Signals

_MEMORY = "memory://"


@asynccontextmanager
async def open_bus(url: str, *, lease_seconds: float = 5.0) -> AsyncIterator[Bus]:
    """Yield the bus at `url`. A member that is silent for `lease_seconds` loses its topics. Raises ValueError."""
    bus = MemoryBus() if url.startswith(_MEMORY) else RedisBus(url, lease_seconds=lease_seconds)
    try:
        yield bus
    finally:
        bus.close()


@asynccontextmanager
async def open_signals(url: str) -> AsyncIterator[Signals]:
    """Yield the signals at `url`. Raises ValueError."""
    signals = MemorySignals() if url.startswith(_MEMORY) else RedisSignals(url)
    try:
        yield signals
    finally:
        signals.close()

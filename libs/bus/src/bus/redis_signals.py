"""Signals over Redis Pub/Sub, and values that one caller can take."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Self

import structlog

from bus import metrics, redis_keys
from bus.bus import BusUnavailable
from bus.redis_client import CALL_SECONDS, Client
from bus.redis_connection import Address, Connection
from bus.signals import Signal, SignalQueue
from chassis.backoff import Backoff

_PROBE_SECONDS = 5.0
"""Interval between a listener's PINGs."""

_log = structlog.get_logger(__name__)


class RedisSignals:
    """Implements `signals.Signals` on one Redis or Valkey server."""

    def __init__(self, url: str) -> None:
        self._address = Address.parse(url)
        self._client = Client(self._address)

    async def send(self, name: str, payload: bytes) -> None:
        """Send to the current listeners."""
        await self._client.call([("PUBLISH", redis_keys.signal(name), payload)])
        metrics.SIGNALS.labels("sent").inc()

    def listen(self, names: Sequence[str]) -> Listener:
        """Receive signals sent from now on."""
        return Listener(self._address, names)

    async def put(self, name: str, value: bytes, seconds: float) -> None:
        """Keep a value for `seconds`."""
        await self._client.call([("SET", redis_keys.value(name), value, "PX", max(1, int(seconds * 1000)))])

    async def take(self, name: str) -> bytes | None:
        """Remove a value and return it."""
        (value,) = await self._client.call([("GETDEL", redis_keys.value(name))])
        return None if value is None else bytes(value)

    def close(self) -> None:
        """Close the connection."""
        self._client.close()


class Listener:
    """The context manager and iterator of one listener. A task keeps it subscribed."""

    def __init__(self, address: Address, names: Sequence[str]) -> None:
        self._address = address
        self._names = {redis_keys.signal(name).encode(): name for name in names}
        """Signal names by Redis channel."""
        self._queue = SignalQueue()
        self._subscription: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        connection = await self._subscribe()
        self._subscription = asyncio.create_task(self._stay_subscribed(connection), name="bus-listener")
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._subscription is not None:
            self._subscription.cancel()
            await asyncio.wait([self._subscription])

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Signal:
        return await self._queue.get()

    async def _stay_subscribed(self, connection: Connection) -> None:
        backoff = Backoff()
        while True:
            try:
                await self._probe(connection)
            except BusUnavailable as error:
                _log.warning("bus_listener_interrupted", reason=str(error))
            finally:
                connection.close()
            connection = await self._resubscribe(backoff)

    async def _probe(self, connection: Connection) -> None:
        while True:
            await connection.call([("PING",)], CALL_SECONDS)
            await connection.wait_closed(_PROBE_SECONDS)

    async def _resubscribe(self, backoff: Backoff) -> Connection:
        while True:
            await backoff.wait()
            try:
                connection = await self._subscribe()
            except BusUnavailable:
                continue
            backoff.succeeded()
            return connection

    async def _subscribe(self) -> Connection:
        """Open a connection and subscribe to every name. Raises BusUnavailable."""
        connection = await Connection.open(self._address, CALL_SECONDS, on_push=self._receive)
        try:
            connection.send_unanswered(("SUBSCRIBE", *self._names))
            await connection.call([("PING",)], CALL_SECONDS)  # its answer follows the subscriptions
        except BaseException:  # includes cancellation
            connection.close()
            raise
        return connection

    def _receive(self, push: list[Any]) -> None:
        if push[0] == b"message":
            self._queue.put(Signal(self._names[push[1]], push[2]))

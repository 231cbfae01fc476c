"""Signals over Redis Pub/Sub, and values that can be taken once.

Leaves the wire to `redis_connection`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Self

import structlog

from bus import metrics, redis_keys
from bus.bus import BusUnavailable
from bus.mailbox import Mailbox
from bus.redis_connection import Address, Connection
from bus.redis_link import CALL_SECONDS, Link
from bus.signals import Signal
from chassis.backoff import Backoff

_PROBE_SECONDS = 5.0
"""How often a listener makes sure that the server is still there."""

_log = structlog.get_logger(__name__)


class RedisSignals:
    """Signals of one server. See `signals.Signals` for what a caller may rely on."""

    def __init__(self, url: str) -> None:
        self._address = Address.parse(url)
        self._link = Link(self._address)

    async def send(self, name: str, payload: bytes) -> None:
        """Reach whoever listens now."""
        await self._link.call([("PUBLISH", redis_keys.signal(name), payload)])
        metrics.SIGNALS.labels("sent").inc()

    def listen(self, names: Sequence[str]) -> Listener:
        """Hear what is sent from now on."""
        return Listener(self._address, names)

    async def put(self, name: str, value: bytes, seconds: float) -> None:
        """Keep a value for a while."""
        await self._link.call([("SET", redis_keys.value(name), value, "PX", max(1, int(seconds * 1000)))])

    async def take(self, name: str) -> bytes | None:
        """Take a value away."""
        (value,) = await self._link.call([("GETDEL", redis_keys.value(name))])
        return None if value is None else bytes(value)

    def close(self) -> None:
        """Drop the connection."""
        self._link.close()


class Listener:
    """One listener's block; one task keeps its subscription."""

    def __init__(self, address: Address, names: Sequence[str]) -> None:
        self._address = address
        self._names = {redis_keys.signal(name).encode(): name for name in names}
        """What was asked for, by the server's channel."""
        self._mailbox = Mailbox()
        self._keeping: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        connection = await self._subscribe()
        self._keeping = asyncio.create_task(self._keep(connection), name="bus-listener")
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._keeping is not None:
            self._keeping.cancel()
            await asyncio.wait([self._keeping])

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Signal:
        return await self._mailbox.get()

    async def _keep(self, connection: Connection) -> None:
        backoff = Backoff()
        while True:
            try:
                await self._probe(connection)
            except BusUnavailable as error:
                _log.warning("bus_listener_interrupted", reason=str(error))
            finally:
                connection.close()
            connection = await self._again(backoff)

    async def _probe(self, connection: Connection) -> None:
        while True:
            await connection.call([("PING",)], CALL_SECONDS)
            await connection.wait_closed(_PROBE_SECONDS)

    async def _again(self, backoff: Backoff) -> Connection:
        while True:
            await backoff.wait()
            try:
                connection = await self._subscribe()
            except BusUnavailable:
                continue
            backoff.succeeded()
            return connection

    async def _subscribe(self) -> Connection:
        """Open a connection on which every name is subscribed to. Raises BusUnavailable."""
        connection = await Connection.open(self._address, CALL_SECONDS, on_push=self._hear)
        try:
            connection.post(("SUBSCRIBE", *self._names))
            await connection.call([("PING",)], CALL_SECONDS)  # answered after the subscriptions took effect
        except BaseException:  # cancelled, too
            connection.close()
            raise
        return connection

    def _hear(self, push: list[Any]) -> None:
        if push[0] == b"message":
            self._mailbox.put(Signal(self._names[push[1]], push[2]))

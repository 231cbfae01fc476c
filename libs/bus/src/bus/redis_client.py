"""A client that connects on demand and reconnects with backoff."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from bus.bus import BusUnavailable
from bus.redis_connection import Address, Command, Connection
from chassis.backoff import Backoff

CALL_SECONDS = 2.0
"""Deadline of a call, including the time to connect."""


class Client:
    """Sends calls over one connection. The first call opens it, and so does the first call after a loss.

    Calls reach the server in call order, including those that waited for the connection. While the server is unreachable,
    calls fail at once, except one per backoff period, which tries to connect.
    """

    def __init__(self, address: Address, scripts: Sequence[str] = ()) -> None:
        self._address = address
        self._scripts = scripts
        """Lua sources, loaded on connecting, so that EVALSHA finds them."""
        self._connection: Connection | None = None
        self._connecting = asyncio.Lock()
        """Held while connecting. It is fair, which keeps waiting calls in order."""
        self._waiting = 0
        """Calls waiting for the connection. Later calls must queue behind them."""
        self._backoff = Backoff()
        self._retry_at = 0.0
        """Loop time of the next attempt to connect."""

    async def call(self, commands: Sequence[Command], seconds: float = CALL_SECONDS) -> list[Any]:
        """Send `commands` in one round trip and return their replies. Raises BusUnavailable."""
        connection = self._connection
        if self._waiting or connection is None or connection.closed:
            return await self._call_when_connected(commands, seconds)
        return await connection.answer(connection.send(commands, seconds))

    def close(self) -> None:
        """Close the connection. A later call opens a new one."""
        if self._connection is not None:
            self._connection.close()

    async def _call_when_connected(self, commands: Sequence[Command], seconds: float) -> list[Any]:
        deadline = asyncio.get_running_loop().time() + seconds
        self._waiting += 1
        try:
            async with asyncio.timeout_at(deadline), self._connecting:
                connection = await self._connected()
                sent = connection.send(commands, deadline - asyncio.get_running_loop().time())
        except TimeoutError as error:
            raise BusUnavailable("no connection in time") from error
        finally:
            self._waiting -= 1
        return await connection.answer(sent)

    async def _connected(self) -> Connection:
        if self._connection is not None and not self._connection.closed:
            return self._connection
        now = asyncio.get_running_loop().time()
        if now < self._retry_at:
            raise BusUnavailable("the server is unreachable")
        try:
            self._connection = await Connection.open(self._address, CALL_SECONDS, scripts=self._scripts)
        except BusUnavailable:
            self._retry_at = asyncio.get_running_loop().time() + self._backoff.failed()
            raise
        self._backoff.succeeded()
        return self._connection

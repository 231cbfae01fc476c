"""Keeps a connection to the server: opens it when needed, again after it broke, and paces the attempts.

Leaves the wire to `redis_connection`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from bus.bus import BusUnavailable
from bus.redis_connection import Address, Command, Connection
from chassis.backoff import Backoff

CALL_SECONDS = 2.0
"""The deadline of a call, connecting included."""


class Link:
    """Calls over one connection that is opened by the first call and by the first after a loss.

    Calls reach the server in the order in which they were made, also those that waited for the connection. While the server
    is out of reach most calls fail at once: one of them per pause tries to connect.
    """

    def __init__(self, address: Address, scripts: Sequence[str] = ()) -> None:
        self._address = address
        self._scripts = scripts
        """Lua sources that the server must know before anything else is sent: EVALSHA then cannot miss."""
        self._connection: Connection | None = None
        self._turn = asyncio.Lock()
        """Held while connecting; first come, first served."""
        self._waiting = 0
        """Calls that wait for the connection: whoever comes meanwhile must not overtake them."""
        self._backoff = Backoff()
        self._not_before = 0.0
        """Loop time of the next attempt to connect."""

    async def call(self, commands: Sequence[Command], seconds: float = CALL_SECONDS) -> list[Any]:
        """Send `commands` in one round trip and return their answers. Raises BusUnavailable."""
        connection = self._connection
        if self._waiting or connection is None or connection.closed:
            return await self._call_when_connected(commands, seconds)
        return await connection.answer(connection.send(commands, seconds))

    def close(self) -> None:
        """Drop the connection. A later call opens a new one."""
        if self._connection is not None:
            self._connection.close()

    async def _call_when_connected(self, commands: Sequence[Command], seconds: float) -> list[Any]:
        deadline = asyncio.get_running_loop().time() + seconds
        self._waiting += 1
        try:
            async with asyncio.timeout_at(deadline), self._turn:
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
        if now < self._not_before:
            raise BusUnavailable("the server is out of reach")
        try:
            self._connection = await Connection.open(self._address, CALL_SECONDS, scripts=self._scripts)
        except BusUnavailable:
            self._not_before = asyncio.get_running_loop().time() + self._backoff.failed()
            raise
        self._backoff.succeeded()
        return self._connection

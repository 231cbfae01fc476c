"""One topic in one member's hands: waits for entries and offers them, one delivery at a time.

What settles a delivery goes over the topic's own connection, with the topic's next read in the same write. No task runs for an
entry: each step is begun by what makes it possible, an answer, a renewal, or that the last delivery is settled. Leaves who holds
what to `redis_work`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from bus.bus import BusUnavailable, Delivery, Entry
from bus.redis_connection import Command, Connection
from bus.redis_link import CALL_SECONDS
from chassis.backoff import Backoff

_WAIT_SECONDS = 5.0
"""How long one read waits at the server."""

_log = structlog.get_logger(__name__)


@dataclass(slots=True, eq=False)
class Offer:
    """A delivery on its way to whoever iterates."""

    holding: Holding
    delivery: Delivery

    def settle(self) -> None:
        """It was completed, released or declined: the topic's next may come."""
        self.holding.settled(self)


class Holding:
    """Offers what waits in one topic while the lease lasts, as this process's clock tells.

    The clock is asked before an offer is made and again when it is taken: a process that was paused beyond its lease finds
    out before it hands out anything more. (Not the loop's clock, which uvloop reads once per turn of the loop.)
    """

    def __init__(
        self, topic: str, key: str, count: int, offer: Callable[[Offer], None], connect: Callable[[], Awaitable[Connection]]
    ) -> None:
        self._topic = topic
        self._offer = offer
        self._connect = connect
        self._read: Command = ("XREAD", "COUNT", count, "BLOCK", int(_WAIT_SECONDS * 1000), "STREAMS", key, "0-0")
        self._connection: Connection | None = None
        self._reading: asyncio.Future[list[Any]] | None = None
        """A read whose answer has not come or, while an offer is out, waits for that to be settled."""
        self._read_in = 0
        """The tenure in which it was sent."""
        self._out: Offer | None = None
        """Made and not settled: nothing more of the topic before it is."""
        self._tenure = 0
        """Counts renewals that came after the lease had run out: what was read before one is void."""
        self._until = 0.0
        """`time.monotonic` at which the lease ends unless it is renewed."""
        self._ended = False
        self._backoff = Backoff()
        self._task: asyncio.Task[None] | None = None

    def begin(self, tasks: asyncio.TaskGroup) -> None:
        """Start offering, as one of `tasks`."""
        self._task = tasks.create_task(self._run(), name=f"bus-holding-{self._topic}")

    def renewed(self, until: float) -> None:
        """The lease lasts until this `time.monotonic`."""
        self._tenure += not self.held()
        self._until = until
        self._go_on()

    def end(self) -> None:
        """Offer nothing more; an offer not yet taken is void."""
        self._ended = True
        if self._task is not None:
            self._task.cancel()

    def held(self) -> bool:
        """Tell whether the topic is still this member's."""
        return not self._ended and time.monotonic() < self._until

    def settled(self, offer: Offer) -> None:
        """Let the topic's next come."""
        if self._out is offer:
            self._out = None
            self._go_on()

    def idle(self) -> bool:
        """Tell whether `call` may be used: an offer is out, and the connection is open and waits for nothing."""
        connected = self._connection is not None and not self._connection.closed
        return connected and self._out is not None and self._reading is None and not self._ended

    async def call(self, commands: Sequence[Command]) -> list[Any]:
        """Send what is to settle the offer and, in the same write, the topic's next read. Raises BusUnavailable.

        Whoever does not settle the offer thereafter must `retract`: the read may show the same entries again, or keep waiting.
        """
        if self._connection is None:
            raise BusUnavailable("not connected")
        sent = self._connection.send(commands, CALL_SECONDS, more=True)
        self._send(self._connection)
        return await self._connection.answer(sent)

    def retract(self) -> None:
        """Throw away the read that went with a `call`, and the connection, which may be waiting for it."""
        if self._reading is not None:
            self._reading.cancel()
        if self._connection is not None:
            self._connection.close()

    async def _run(self) -> None:
        """Keep a connection open."""
        while True:
            reason = "connection lost"
            try:
                await self._serve(await self._connect())
            except BusUnavailable as error:
                reason = str(error)
            _log.warning("bus_work_interrupted", topic=self._topic, reason=reason)
            await self._backoff.wait()

    async def _serve(self, connection: Connection) -> None:
        """Read over a connection until it closes."""
        self._connection, self._reading = connection, None
        try:
            self._go_on()
            await connection.wait_closed()
        finally:
            connection.close()

    def _go_on(self) -> None:
        """Read, or offer what was read, unless an offer is out or the lease has run out."""
        connection = self._connection
        if self._out is not None or not self.held() or connection is None or connection.closed:
            return
        if self._reading is None:
            self._send(connection)
        elif self._reading.done():
            self._take(connection, self._reading)

    def _send(self, connection: Connection) -> None:
        """Ask for the oldest of the topic."""
        self._read_in = self._tenure
        self._reading = connection.send([self._read], _WAIT_SECONDS + CALL_SECONDS)
        self._reading.add_done_callback(self._answered)

    def _answered(self, reading: asyncio.Future[list[Any]]) -> None:
        if not reading.cancelled() and reading.exception() is None and reading is self._reading:
            self._go_on()

    def _take(self, connection: Connection, reading: asyncio.Future[list[Any]]) -> None:
        """Offer what was read, if anything was and the lease has lasted since; else read again."""
        self._reading = None
        try:
            (answer,) = connection.checked(reading.result())
        except BusUnavailable:
            return  # closed by it
        self._backoff.succeeded()
        if not answer or self._read_in != self._tenure:
            self._send(connection)
        else:
            ((_, entries),) = answer.items()
            self._out = Offer(self, Delivery(self._topic, [Entry(id_.decode(), fields[1]) for id_, fields in entries]))
            self._offer(self._out)

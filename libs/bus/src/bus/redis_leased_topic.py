"""A topic leased by this member: reads its entries and offers them, one delivery at a time.

The command that settles a delivery travels over the topic's own connection, in one write with the topic's next read. No task
runs per entry: a reply, a lease renewal or a settled delivery triggers the next step. `redis_work` decides which topics the
member holds.

Price: a connection per leased topic, and the state below. Gain: a message costs the server three reads instead of four
(docs/adr/0010), and a topic never waits for another topic's delivery. `tests/test_round_trips.py` guards the count,
`tests/test_leased_topic.py` the states.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from bus.bus import BusUnavailable, Delivery, Entry
from bus.redis_client import CALL_SECONDS
from bus.redis_connection import Command, Connection
from bus.redis_scripts import Script
from bus.topics import ENTRY_BYTES
from chassis.backoff import Backoff

_WAIT_SECONDS = 5.0
"""How long one read blocks at the server."""

_log = structlog.get_logger(__name__)


@dataclass(slots=True, eq=False)
class Offer:
    """A delivery that the member has not yet settled."""

    source: LeasedTopic
    delivery: Delivery

    def settle(self) -> None:
        """The delivery was completed, released or discarded. The topic may offer the next one."""
        self.source.settled(self)


@dataclass(frozen=True, slots=True)
class ReadCommands:
    """How a topic is read. Only the server can bound a read by bytes, in a script, and a script cannot block."""

    key: str
    """The stream."""
    look: Script
    count: int
    """Maximum entries per delivery."""
    room: Callable[[], int]
    """Maximum bytes per delivery, at this moment."""

    def waiting(self) -> tuple[Command, int]:
        """The command that waits for entries, and how many it returns at most: few, as it is not bounded by bytes."""
        count = min(self.count, max(self.room() // ENTRY_BYTES, 1))
        return ("XREAD", "COUNT", count, "BLOCK", int(_WAIT_SECONDS * 1000), "STREAMS", self.key, "0-0"), count

    def bounded(self) -> Command:
        """The command that returns at once, with entries up to the bounds."""
        return self.look.call([], self.count, self.room(), self.key, "0-0")


class LeasedTopic:
    """Offers the entries of one topic while the lease is valid by this process's clock.

    The clock is read before an offer is made and again before it is delivered, so a process that was paused beyond its lease
    delivers nothing more. (The event loop's clock would not do: uvloop reads it once per iteration.)
    """

    def __init__(
        self,
        topic: str,
        read: ReadCommands,
        offer: Callable[[Offer], None],
        connect: Callable[[], Awaitable[Connection]],
    ) -> None:
        self._topic = topic
        self._offer = offer
        self._connect = connect
        self._commands = read
        self._more = True
        """Entries may be left at the server, so the next read is bounded by bytes and does not wait."""
        self._connection: Connection | None = None
        self._reading: asyncio.Future[list[Any]] | None = None
        """The read that is in progress, or whose reply waits for the outstanding offer to be settled."""
        self._waits_for = 0
        """How many entries that read returns at most, if it waits for entries; 0 if it is bounded by bytes."""
        self._read_generation = 0
        """The lease generation in which that read was sent."""
        self._outstanding: Offer | None = None
        """The unsettled offer. Nothing else of this topic is offered until it is settled."""
        self._generation = 0
        """Incremented when the lease is renewed after it had expired. Reads of an earlier generation are discarded."""
        self._valid_until = 0.0
        """`time.monotonic` at which the lease ends unless it is renewed."""
        self._ended = False
        self._backoff = Backoff()
        self._task: asyncio.Task[None] | None = None

    def start(self, tasks: asyncio.TaskGroup) -> None:
        """Connect and start offering, in a task of `tasks`."""
        self._task = tasks.create_task(self._run(), name=f"bus-topic-{self._topic}")

    def renewed(self, until: float) -> None:
        """The lease is valid until this `time.monotonic`."""
        self._generation += not self.lease_valid()
        self._valid_until = until
        self._advance()

    def end(self) -> None:
        """Stop offering. An offer that was not delivered yet becomes invalid."""
        self._ended = True
        if self._task is not None:
            self._task.cancel()

    def lease_valid(self) -> bool:
        """Return whether this member still holds the topic."""
        return not self._ended and time.monotonic() < self._valid_until

    def settled(self, offer: Offer) -> None:
        """Clear the outstanding offer and continue."""
        if self._outstanding is offer:
            self._outstanding = None
            self._advance()

    def can_call(self) -> bool:
        """Return whether `call` may be used: an offer is outstanding, and the connection is open and idle."""
        connected = self._connection is not None and not self._connection.closed
        return connected and self._outstanding is not None and self._reading is None and not self._ended

    async def call(self, commands: Sequence[Command]) -> list[Any]:
        """Send the commands that settle the offer and, in the same write, the topic's next read. Raises BusUnavailable.

        A caller that then does not settle the offer must call `discard_read`: the read may return the same entries again, or
        block.
        """
        if self._connection is None:
            raise BusUnavailable("not connected")
        sent = self._connection.send(commands, CALL_SECONDS, more=True)
        self._send_read(self._connection)
        return await self._connection.answer(sent)

    def discard_read(self) -> None:
        """Discard the read sent by `call`, and close the connection, which the read may be blocking."""
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
            self._advance()
            await connection.wait_closed()
        finally:
            connection.close()

    def _advance(self) -> None:
        """Send a read, or offer its entries, unless an offer is outstanding or the lease has expired."""
        connection = self._connection
        if self._outstanding is not None or not self.lease_valid() or connection is None or connection.closed:
            return
        if self._reading is None:
            self._send_read(connection)
        elif self._reading.done():
            self._offer_read(connection, self._reading)

    def _send_read(self, connection: Connection) -> None:
        """Request the oldest entries of the topic."""
        self._read_generation = self._generation
        command, self._waits_for = (self._commands.bounded(), 0) if self._more else self._commands.waiting()
        self._reading = connection.send([command], _WAIT_SECONDS + CALL_SECONDS)
        self._reading.add_done_callback(self._answered)

    def _answered(self, reading: asyncio.Future[list[Any]]) -> None:
        if not reading.cancelled() and reading.exception() is None and reading is self._reading:
            self._advance()

    def _offer_read(self, connection: Connection, reading: asyncio.Future[list[Any]]) -> None:
        """Offer the entries that were read. Read again if there are none, or if the lease expired in between."""
        self._reading = None
        try:
            (answer,) = connection.checked(reading.result())
        except BusUnavailable:
            return  # `checked` has closed the connection
        self._backoff.succeeded()
        if self._waits_for:
            entries = next(iter(answer.values())) if answer else []
            self._more = len(entries) == self._waits_for
        else:
            ((ended, *entries),) = answer
            self._more = not ended
        if not entries or self._read_generation != self._generation:
            self._send_read(connection)
        else:
            self._outstanding = Offer(self, Delivery(self._topic, [Entry(id_.decode(), fields[1]) for id_, fields in entries]))
            self._offer(self._outstanding)

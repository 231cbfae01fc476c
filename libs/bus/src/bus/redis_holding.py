"""One topic in one member's hands: waits for entries and offers them, one delivery at a time.

Leaves who holds what to `redis_work`.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass, field

import structlog

from bus.bus import BusUnavailable, Delivery, Entry
from bus.redis_connection import Address, Connection
from bus.redis_link import CALL_SECONDS, Backoff

_WAIT_SECONDS = 5.0
"""How long one read waits at the server."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class Offer:
    """A delivery on its way to whoever iterates."""

    holding: Holding
    delivery: Delivery
    settled: asyncio.Event = field(default_factory=asyncio.Event)
    """It was completed, released or declined: the topic's next may come."""

    def settle(self) -> None:
        """Let the topic's next come."""
        self.settled.set()


class Holding:
    """Offers what waits in one topic while the lease lasts, as this process's clock tells.

    The clock is asked before an offer is made and again when it is taken: a process that was paused beyond its lease finds
    out before it hands out anything more. (Not the loop's clock, which uvloop reads once per turn of the loop.)
    """

    def __init__(self, topic: str, key: str, count: int, offers: asyncio.Queue[Offer | None], address: Address) -> None:
        self._topic = topic
        self._key = key
        self._count = count
        self._offers = offers
        self._address = address
        self._until = 0.0
        """`time.monotonic` at which the lease ends unless it is renewed."""
        self._renewal = asyncio.Event()
        """Set by each renewal."""
        self._ended = False
        self._task: asyncio.Task[None] | None = None

    def begin(self, tasks: asyncio.TaskGroup) -> None:
        """Start offering, as one of `tasks`."""
        self._task = tasks.create_task(self._run(), name=f"bus-holding-{self._topic}")

    def renewed(self, until: float) -> None:
        """The lease lasts until this `time.monotonic`."""
        self._until = until
        self._renewal.set()

    def end(self) -> None:
        """Offer nothing more; an offer not yet taken is void."""
        self._ended = True
        if self._task is not None:
            self._task.cancel()

    def held(self) -> bool:
        """Tell whether the topic is still this member's."""
        return not self._ended and time.monotonic() < self._until

    async def _run(self) -> None:
        backoff = Backoff()
        while True:
            try:
                connection = await Connection.open(self._address, CALL_SECONDS)
                try:
                    await self._offer(connection, backoff)
                finally:
                    connection.close()
            except BusUnavailable as error:
                _log.warning("bus_work_interrupted", topic=self._topic, reason=str(error))
                await backoff.wait()

    async def _offer(self, connection: Connection, backoff: Backoff) -> None:
        wait = int(_WAIT_SECONDS * 1000)
        read = ("XREAD", "COUNT", self._count, "BLOCK", wait, "STREAMS", self._key, "0-0")
        while True:
            await self._until_held()
            (answer,) = await connection.call([read], _WAIT_SECONDS + CALL_SECONDS)
            backoff.succeeded()
            if not answer or not self.held():
                continue
            ((_, entries),) = answer.items()
            delivery = Delivery(self._topic, [Entry(id_.decode(), fields[1]) for id_, fields in entries])
            offer = Offer(self, delivery)
            await self._offers.put(offer)
            await offer.settled.wait()

    async def _until_held(self) -> None:
        while not self.held():
            self._renewal.clear()
            await self._renewal.wait()

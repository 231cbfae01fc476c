"""Sends commands to a worker over the bus, as gateways do, and waits for the events."""

import asyncio
import contextlib
import itertools
import time
import uuid
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from dataclasses import dataclass

from bench import processes
from bench.people import TENANT
from bus.bus import Bus, Lost
from bus.connect import open_bus
from bus.topics import Topic, commands, events, partition_of
from hubbub.events.v1.events_pb2 import Command, CommandBatch, EventBatch, PostMessage

_PARTITIONS = 8
"""The default of HUBBUB_BUS_PARTITIONS."""
_TEXT = "x" * 200
MARKED_TEXT = f"~{0:028x}~".ljust(200, "x")
"""A text that a load generator counts as a delivery (see load/inflight.c)."""
_POSTED = 1_000
"""Messages that `post` keeps in flight."""
_STALL_SECONDS = 30


class FeedError(Exception):
    """Events were lost or did not arrive."""


@dataclass(frozen=True, slots=True)
class FeedResult:
    """The result of a round."""

    stored: int
    """Messages whose event arrived."""
    seconds: float
    cpu: dict[str, float]
    """Seconds of processor time, by the names given to `watch`."""


class Feeder:
    """Posts messages round-robin over channels and users."""

    def __init__(self, bus: Bus, senders: Sequence[tuple[str, str]], text: str = _TEXT) -> None:
        self._bus = bus
        self._text = text
        self._senders = itertools.cycle(senders)
        """Channel and user, endlessly."""
        self._awaited: set[str] = set()
        """Ids of commands without an event yet."""
        self._arrived = asyncio.Event()
        self._stored = 0

    async def feed(self, watch: Mapping[str, Sequence[int]], *, window: int, seconds: float) -> FeedResult:
        """Keep `window` messages in flight for `seconds`, then wait for the last. Raises FeedError."""
        stored = self._stored
        before = {role: processes.seconds(pids) for role, pids in watch.items()}
        began = time.monotonic()
        while time.monotonic() < began + seconds:
            await self._bus.publish(list(self._batches(window - len(self._awaited))))
            await self._wait_for_fewer_than(window)
        await self._wait_for_fewer_than(1)
        took = time.monotonic() - began
        cpu = {role: processes.seconds(pids) - before[role] for role, pids in watch.items()}
        return FeedResult(self._stored - stored, took, cpu)

    async def post(self, count: int) -> None:
        """Post `count` messages, and return once they are stored. Raises FeedError."""
        while count:
            room = min(count, _POSTED - len(self._awaited))
            await self._bus.publish(list(self._batches(room)))
            count -= room
            await self._wait_for_fewer_than(_POSTED)
        await self._wait_for_fewer_than(1)

    async def listen(self, following: asyncio.Event) -> None:
        """Receive events until cancelled. Sets `following` once it follows the bus."""
        async with self._bus.follow([events(partition) for partition in range(_PARTITIONS)]) as deliveries:
            following.set()
            async for delivery in deliveries:
                if isinstance(delivery, Lost):
                    raise FeedError(f"Events were lost: {delivery.reason}")
                for entry in delivery.entries:
                    came = {event.command for event in EventBatch.FromString(entry.payload).events}
                    self._stored += len(came & self._awaited)
                    self._awaited -= came
                self._arrived.set()

    async def _wait_for_fewer_than(self, limit: int) -> None:
        while len(self._awaited) >= limit:
            self._arrived.clear()
            try:
                async with asyncio.timeout(_STALL_SECONDS):
                    await self._arrived.wait()
            except TimeoutError as error:
                raise FeedError(f"{len(self._awaited)} messages were not stored within {_STALL_SECONDS} s") from error

    def _batches(self, count: int) -> Iterator[tuple[Topic, bytes]]:
        """Yield `count` commands as one entry per partition."""
        batches: dict[int, CommandBatch] = {}
        for channel, user in itertools.islice(self._senders, count):
            id_ = str(uuid.uuid4())
            self._awaited.add(id_)
            post = PostMessage(text=self._text)
            command = Command(tenant=TENANT, channel=channel, actor=user, key=id_, id=id_, gateway="bench", post=post)
            batches.setdefault(partition_of(channel, _PARTITIONS), CommandBatch()).commands.append(command)
        for partition, batch in batches.items():
            yield commands(partition), batch.SerializeToString()


@contextlib.asynccontextmanager
async def feeding(url: str, senders: Sequence[tuple[str, str]], text: str = _TEXT) -> AsyncIterator[Feeder]:
    """Yield a feeder on the bus at `url`."""
    async with open_bus(url) as bus, asyncio.TaskGroup() as tasks:
        feeder, following = Feeder(bus, senders, text), asyncio.Event()
        listening = tasks.create_task(feeder.listen(following))
        await following.wait()
        yield feeder
        listening.cancel()

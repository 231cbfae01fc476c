"""Publishes commands for a worker as gateways do, and waits for its events."""

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
_STALL_SECONDS = 30


class FeedError(Exception):
    """An event was lost, or events stopped arriving."""


@dataclass(frozen=True, slots=True)
class Fed:
    """The result of a round."""

    stored: int
    """Messages whose event arrived."""
    seconds: float
    cpu: dict[str, float]
    """Seconds of processor time, by the names given to `watch`."""


class Feeder:
    """Posts as every user, in every user's rooms in turn."""

    def __init__(self, bus: Bus, places: Sequence[tuple[str, str]]) -> None:
        self._bus = bus
        self._places = itertools.cycle(places)
        """Channel and user."""
        self._awaited: set[str] = set()
        """Ids of the commands whose event has not arrived."""
        self._came = asyncio.Event()
        self._stored = 0

    async def feed(self, watch: Mapping[str, Sequence[int]], *, window: int, seconds: float) -> Fed:
        """Keep `window` messages in flight for so long, then wait for the last. Raises FeedError."""
        stored = self._stored
        before = {role: processes.seconds(pids) for role, pids in watch.items()}
        began = time.monotonic()
        while time.monotonic() < began + seconds:
            await self._bus.publish(list(self._batches(window - len(self._awaited))))
            await self._until_fewer_than(window)
        await self._until_fewer_than(1)
        took = time.monotonic() - began
        cpu = {role: processes.seconds(pids) - before[role] for role, pids in watch.items()}
        return Fed(self._stored - stored, took, cpu)

    async def listen(self, entered: asyncio.Event) -> None:
        """Read events, for ever; `entered` is set once none can be missed."""
        async with self._bus.follow([events(partition) for partition in range(_PARTITIONS)]) as deliveries:
            entered.set()
            async for delivery in deliveries:
                if isinstance(delivery, Lost):
                    raise FeedError(f"Events were lost: {delivery.reason}")
                for entry in delivery.entries:
                    came = {event.command for event in EventBatch.FromString(entry.payload).events}
                    self._stored += len(came & self._awaited)
                    self._awaited -= came
                self._came.set()

    async def _until_fewer_than(self, many: int) -> None:
        while len(self._awaited) >= many:
            self._came.clear()
            try:
                async with asyncio.timeout(_STALL_SECONDS):
                    await self._came.wait()
            except TimeoutError as error:
                raise FeedError(f"{len(self._awaited)} messages were not stored within {_STALL_SECONDS} s") from error

    def _batches(self, count: int) -> Iterator[tuple[Topic, bytes]]:
        """A number of commands, as one entry per partition."""
        batches: dict[int, CommandBatch] = {}
        for channel, user in itertools.islice(self._places, count):
            id_ = str(uuid.uuid4())
            self._awaited.add(id_)
            post = PostMessage(text=_TEXT)
            made = Command(tenant=TENANT, channel=channel, actor=user, key=id_, id=id_, gateway="bench", post=post)
            batches.setdefault(partition_of(channel, _PARTITIONS), CommandBatch()).commands.append(made)
        for partition, batch in batches.items():
            yield commands(partition), batch.SerializeToString()


@contextlib.asynccontextmanager
async def feeding(url: str, places: Sequence[tuple[str, str]]) -> AsyncIterator[Feeder]:
    """A feeder at the bus at `url` for the duration of the block."""
    async with open_bus(url) as bus, asyncio.TaskGroup() as tasks:
        feeder, entered = Feeder(bus, places), asyncio.Event()
        listening = tasks.create_task(feeder.listen(entered))
        await entered.wait()
        yield feeder
        listening.cancel()

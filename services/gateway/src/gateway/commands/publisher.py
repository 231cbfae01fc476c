"""Publishes commands to the bus: everything accepted during the last publish goes as one batch per partition.

One publish is under way at a time, so the commands of a connection keep their order, and batches grow with load. A command that
the bus does not accept is answered at once and not retried: the client repeats it safely under the same key.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from typing import TypeAlias

from bus.bus import Bus, BusFull, BusUnavailable
from bus.topics import Topic, commands, partition_of
from chassis.errors import Unavailable
from gateway.commands.pending import Pending
from gateway.metrics import COMMAND_BATCH
from hubbub.events.v1.events_pb2 import Command, CommandBatch

Waiting: TypeAlias = tuple[str, bytes]
"""A command's id, and the command encoded as an element of a `CommandBatch`; concatenated elements are a batch."""

WAITING = 20_000
"""Commands that may wait for the present publish."""
WAITING_BYTES = 16 * 1024 * 1024
"""Bytes of the waiting commands. During a publish they exist up to three times: as commands, as entries, in the connection."""
GATHER_SECONDS = 0.001
"""Pause between two publishes while commands come faster than they are published."""
_COMMANDS = bytes((CommandBatch.COMMANDS_FIELD_NUMBER << 3 | 2,))
"""The protobuf tag before each command of a batch."""
_NO_LEASE = "This gateway has lost touch with the others for a moment"
BATCH = 500
"""Commands in one entry of the bus."""
BATCH_BYTES = 256 * 1024
"""Bytes in one entry, unless it holds a single command: a worker takes 64 entries at a time."""


class CommandPublisher:
    """Commands on their way to the bus."""

    def __init__(self, bus: Bus, partitions: int, pending: Pending, cut_off: Callable[[], bool] = lambda: False) -> None:
        self._bus = bus
        self._cut_off = cut_off
        """Whether authors may have been revoked without this gateway's knowledge: it has no valid lease."""
        self._topics = [commands(partition) for partition in range(partitions)]
        self._pending = pending
        self._waiting: list[list[Waiting]] = [[] for _ in self._topics]
        """By partition."""
        self._count = 0
        self._size = 0
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        """Set while no command waits or is being published."""
        self._idle.set()

    def add(self, command: Command) -> None:
        """Publish a command with the next batch. Raises `Unavailable` at the bounds, and without a valid lease."""
        if self._cut_off():
            raise Unavailable(_NO_LEASE)
        encoded = _in_batch(command.SerializeToString())
        size = self._size + len(encoded)
        if self._count >= WAITING or size > WAITING_BYTES:
            raise Unavailable("Too many commands wait for the bus")
        self._waiting[partition_of(command.channel, len(self._topics))].append((command.id, encoded))
        self._size = size
        self._count += 1
        if self._count == 1:
            self._wake.set()
            self._idle.clear()

    async def run(self) -> None:
        """Publish, forever."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            await self._publish(self._take())
            if not self._count:
                self._idle.set()
            elif self._count > 1:  # under load: let more commands gather, as an entry costs the bus as much as a command
                await asyncio.sleep(GATHER_SECONDS)

    async def emptied(self) -> None:
        """Return once every accepted command is on the bus or answered."""
        await self._idle.wait()

    def _take(self) -> list[tuple[Topic, list[Waiting]]]:
        batches = [
            (topic, batch) for topic, waiting in zip(self._topics, self._waiting, strict=True) for batch in _batches(waiting)
        ]
        self._waiting = [[] for _ in self._topics]
        COMMAND_BATCH.observe(self._count)
        self._count = self._size = 0
        return batches

    async def _publish(self, batches: list[tuple[Topic, list[Waiting]]]) -> None:
        if self._cut_off():
            self._fail([batch for _, batch in batches], _NO_LEASE)
            return
        entries = [(topic, b"".join([encoded for _, encoded in batch])) for topic, batch in batches]
        try:
            await self._bus.publish(entries)
        except BusFull as error:
            self._fail([batch for topic, batch in batches if topic.name in error.topics], "The channel's queue is full")
        except BusUnavailable:
            self._fail([batch for _, batch in batches], "The bus does not answer")

    def _fail(self, batches: list[list[Waiting]], detail: str) -> None:
        self._pending.failed((command for batch in batches for command, _ in batch), Unavailable(detail))


def _batches(waiting: list[Waiting]) -> Iterator[list[Waiting]]:
    """Split the commands of one topic into entries, in order."""
    batch: list[Waiting] = []
    size = 0
    for each in waiting:
        more = len(each[1])
        if batch and (len(batch) == BATCH or size + more > BATCH_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(each)
        size += more
    if batch:
        yield batch


def _in_batch(command: bytes) -> bytes:
    """An encoded command as an element of a `CommandBatch`: the field's tag, the length (a varint), and the command."""
    length, size = b"", len(command)
    while size > 127:  # noqa: PLR2004 - seven bits at a time
        length, size = length + bytes((size & 127 | 128,)), size >> 7
    return b"".join((_COMMANDS, length, bytes((size,)), command))

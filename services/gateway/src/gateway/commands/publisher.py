"""Publishes commands to the bus: everything accepted during the last publish goes as one batch per partition.

A tenant that floods fills its own share of the bus (`shares`), not the queue that the others wait in. One publish is under way at
a time, so the commands of a connection keep their order, and batches grow with load. A command that the bus does not accept is
answered at once and not retried: the client repeats it safely under the same key.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator

from bus.bus import Bus, BusFull, BusUnavailable
from bus.topics import Topic, commands, partition_of
from chassis.errors import Unavailable
from gateway.commands.pending import Pending
from gateway.commands.shares import CHANGE_WEIGHT, ActiveTenants, Bounds, Shares, Waiting
from gateway.metrics import COMMAND_BATCH
from hubbub.events.v1.events_pb2 import Command, CommandBatch

WAITING = 20_000
"""Commands that may wait to be published; half as many of one tenant."""
WAITING_BYTES = 16 * 1024 * 1024
"""Bytes of the waiting commands; half as many of one tenant. During a publish they exist up to three times: as commands, as
entries, in the connection."""
GATHER_SECONDS = 0.001
"""Pause between two publishes while commands come faster than they are published."""
ALONE, SHARED = 4_000, 200
"""Posts of one tenant that may be on the bus without an outcome, while it is the only active one and otherwise.

4,000 fill two transactions of a worker and the next two. 200 take a worker about 15 ms."""
ALONE_BYTES, SHARED_BYTES = 8 * 1024 * 1024, 512 * 1024
"""Bytes of the same."""
_COMMANDS = bytes((CommandBatch.COMMANDS_FIELD_NUMBER << 3 | 2,))
"""The protobuf tag before each command of a batch."""
_NO_LEASE = "This gateway has lost touch with the others for a moment"
BATCH = 500
"""Commands in one entry of the bus."""
BATCH_BYTES = 256 * 1024
"""Bytes in one entry, unless it holds a single command: a worker takes 64 entries at a time."""


class CommandPublisher:
    """Commands on their way to the bus."""

    def __init__(
        self,
        bus: Bus,
        partitions: int,
        pending: Pending,
        cut_off: Callable[[], bool] = lambda: False,
        *,
        alone: int = ALONE,
        shared: int = SHARED,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._bus = bus
        self._cut_off = cut_off
        """Whether authors may have been revoked without this gateway's knowledge: it has no valid lease."""
        self._topics = [commands(partition) for partition in range(partitions)]
        self._pending = pending
        pending.on_outcome = self._answered
        self._clock = clock
        self.tenants = ActiveTenants(clock)
        """Tenants whose commands or events were seen lately, at any gateway."""
        self._shares = Shares(
            pending,
            self.tenants,
            alone=Bounds(alone, ALONE_BYTES),
            shared=Bounds(shared, SHARED_BYTES),
            waiting=Bounds(WAITING // 2, WAITING_BYTES // 2),
        )
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        """Set while no command waits or is being published."""
        self._idle.set()

    def add(self, command: Command) -> None:
        """Publish a command as soon as its tenant's share allows.

        Raises `Unavailable` at the bounds and without a valid lease, and as `Shares.add`.
        """
        if self._cut_off():
            raise Unavailable(_NO_LEASE)
        encoded = _in_batch(command.SerializeToString())
        shares = self._shares
        if shares.count >= WAITING or shares.size + len(encoded) > WAITING_BYTES:
            raise Unavailable("Too many commands wait for the bus")
        weight = 0
        if command.id in self._pending:
            weight = 1 if command.HasField("post") else CHANGE_WEIGHT
        waiting = Waiting(command.id, partition_of(command.channel, len(self._topics)), encoded, weight, self._clock())
        if shares.add(command.tenant, waiting):
            self._wake.set()
        self._idle.clear()

    async def run(self) -> None:
        """Publish, forever."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            if batches := self._take():
                await self._publish(batches)
            if not self._shares.count:
                self._idle.set()
            elif (
                self._shares.count > 1 and self._wake.is_set()
            ):  # under load: let more gather, as an entry costs as much as a command
                await asyncio.sleep(GATHER_SECONDS)

    async def emptied(self) -> None:
        """Return once every accepted command is on the bus or answered."""
        await self._idle.wait()

    def _answered(self, command: str) -> None:
        if self._shares.answered(command):
            self._wake.set()

    def _take(self) -> list[tuple[Topic, list[Waiting]]]:
        taken: list[list[Waiting]] = [[] for _ in self._topics]
        before = self._shares.count
        for each in self._shares.take():
            taken[each.partition].append(each)
        if count := before - self._shares.count:
            COMMAND_BATCH.observe(count)
        return [(topic, batch) for topic, waiting in zip(self._topics, taken, strict=True) for batch in _batches(waiting)]

    async def _publish(self, batches: list[tuple[Topic, list[Waiting]]]) -> None:
        if self._cut_off():
            self._fail([batch for _, batch in batches], _NO_LEASE)
            return
        entries = [(topic, b"".join([each.encoded for each in batch])) for topic, batch in batches]
        try:
            await self._bus.publish(entries)
        except BusFull as error:
            self._fail([batch for topic, batch in batches if topic.name in error.topics], "The channel's queue is full")
        except BusUnavailable:
            self._fail([batch for _, batch in batches], "The bus does not answer")

    def _fail(self, batches: list[list[Waiting]], detail: str) -> None:
        self._pending.failed((each.id for batch in batches for each in batch), Unavailable(detail))


def _batches(waiting: list[Waiting]) -> Iterator[list[Waiting]]:
    """Split the commands of one topic into entries, in order."""
    batch: list[Waiting] = []
    size = 0
    for each in waiting:
        more = len(each.encoded)
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

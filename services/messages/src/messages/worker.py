"""Consumes command batches from the bus: has them stored, publishes the results, and then acknowledges the deliveries.

After a crash the delivery is repeated, and the repeat finds the entries that it made. An entry or command that cannot be
processed is moved to the topic `rejected`; the others go through. While PostgreSQL or the bus is away, or the schema is not the
one that this release needs, a delivery is released and retried. When that goes on, the worker is `failing`, and `consumer` leaves
the group.

A commit costs the same for one delivery as for eight. So all deliveries that arrive during a commit form a group, which is stored
in one transaction (`docs/adr/0013`). When anything in a group fails, or a channel is locked by another transaction, each of its
deliveries is carried out alone, so that no partition waits for another.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from operator import itemgetter

import structlog
from google.protobuf.message import DecodeError

from bus.bus import BusError, Delivery, Work
from chassis.errors import HubbubError, Internal, Unavailable
from chassis.lifecycle import pause
from chassis.metrics import DEFECTS
from chassis.postgres import Database
from hubbub.events.v1 import events_pb2 as events
from messages import convert
from messages.commands.batch import handle, kind_of
from messages.commands.model import Command, Outcome, Stored
from messages.limits import DEFAULT_LIMITS, Limits
from messages.message import CommandId
from messages.metrics import COMMANDS, PUBLISH_SECONDS, REJECTED, RETRIES
from messages.publisher import Publisher, replies

GROUP = "messages"
log = structlog.get_logger()
_TRANSACTION_COMMANDS = 1_000
_GROUP_LOCK_SECONDS = 0.05
"""A group waits this long for a channel that another transaction has locked."""
_GROUPS = 2
"""Groups in progress: while one is committed, the other is decoded and encoded."""
_PAUSES_SECONDS = (0.05, 0.1, 0.2, 0.5, 1.0)
_FAILING_DELIVERIES, _FAILING_SECONDS = 5, 1.5
"""So many deliveries in a row, over so long, must fail before the worker counts as failing."""


@dataclass(slots=True)
class Decoded:
    """The content of deliveries."""

    commands: list[Command] = field(default_factory=list)
    sources: dict[CommandId, events.Command] = field(default_factory=dict)
    """The protobuf message of each command."""
    refused: list[Outcome] = field(default_factory=list)
    """Outcomes of invalid commands."""
    poison: list[bytes] = field(default_factory=list)
    """Entries that are not valid batches."""


def decode(*deliveries: Delivery) -> Decoded:
    """Decode the entries of deliveries, in order."""
    found = Decoded()
    for entry in chain.from_iterable(delivery.entries for delivery in deliveries):
        try:
            batch = events.CommandBatch.FromString(entry.payload)
        except DecodeError:
            found.poison.append(entry.payload)
            continue
        for received in batch.commands:
            try:
                command = convert.command(received)
            except HubbubError as error:
                COMMANDS.labels(received.WhichOneof("body") or "unknown", error.reason).inc()
                found.refused.append(Outcome(CommandId(received.id), received.gateway, received.channel, error=error))
            else:
                found.commands.append(command)
                found.sources[command.id] = received
    return found


class Worker:
    """One consumer of the group that consumes all command topics."""

    def __init__(
        self, database: Database, publisher: Publisher, stopping: asyncio.Event, limits: Limits = DEFAULT_LIMITS
    ) -> None:
        self._limits = limits
        self._database = database
        self._publisher = publisher
        self._stopping = stopping
        """Once set, deliveries in progress are finished and no new ones are taken."""
        self.failing = asyncio.Event()
        """Set once deliveries have failed one after the other because of the database or the bus: others may do better."""
        self.has_stored = False
        """Whether a delivery was completed."""
        self._failed = 0
        """Deliveries that failed since the last one that was completed."""
        self._failed_since = 0.0
        """`time.monotonic` of the first of them."""
        self._failures: dict[str, int] = {}
        """Consecutive releases of deliveries, by topic."""
        self._waiting: list[Delivery] = []
        """Deliveries for the next group, at most one of each topic."""
        self._groups = 0
        """How many groups are in progress."""
        self._gathering = False
        """Whether a group has been started and has not taken `_waiting` yet: deliveries of the same tick join it."""

    async def run(self, work: Work) -> None:
        """Consume until `stopping`. One delivery of each topic is in progress at a time; topics do not wait for each other."""
        async with asyncio.TaskGroup() as tasks:
            taking = tasks.create_task(self._take(work, tasks))
            await self._stopping.wait()
            taking.cancel()

    async def _take(self, work: Work, tasks: asyncio.TaskGroup) -> None:
        async for delivery in work:
            if delivery.topic in self._failures:
                tasks.create_task(self._deliver(work, delivery))
            else:
                self._waiting.append(delivery)
                self._begin_group(work, tasks)

    def _begin_group(self, work: Work, tasks: asyncio.TaskGroup) -> None:
        if self._waiting and self._groups < _GROUPS and not self._gathering:
            self._groups += 1
            self._gathering = True
            tasks.create_task(self._deliver_group(work, tasks))

    async def _deliver_group(self, work: Work, tasks: asyncio.TaskGroup) -> None:
        """Carry out the waiting deliveries together; when that fails, each alone."""
        group, self._waiting, self._gathering = self._waiting, [], False
        try:
            await self._carry_out_together(work, group)
        except Exception as error:  # noqa: BLE001 - the consume loop: carried out alone, each delivery reports its own error
            log.info("group_split", deliveries=len(group), error=type(error).__name__)
            for delivery in group:
                tasks.create_task(self._deliver(work, delivery))
        finally:
            self._groups -= 1
            self._begin_group(work, tasks)

    async def _deliver(self, work: Work, delivery: Delivery) -> None:
        try:
            await self._carry_out(work, delivery)
        except Unavailable:
            self._count_failure()
            await self._postpone(work, delivery, "database")
        except BusError:
            self._count_failure()
            await self._postpone(work, delivery, "bus")
        except Exception as error:  # the consume loop: other partitions go on
            DEFECTS.labels("delivery").inc()
            log.exception("delivery_failed", topic=delivery.topic, error=type(error).__name__)
            await self._postpone(work, delivery, "defect")
        else:
            self._failures.pop(delivery.topic, None)

    def _count_failure(self) -> None:
        now = time.monotonic()
        if not self._failed:
            self._failed_since = now
        self._failed += 1
        if self._failed >= _FAILING_DELIVERIES and now - self._failed_since >= _FAILING_SECONDS:
            self.failing.set()

    async def _postpone(self, work: Work, delivery: Delivery, cause: str) -> None:
        """Release a delivery, after a pause that grows with the failures of its topic."""
        RETRIES.labels(cause).inc()
        failures = self._failures[delivery.topic] = self._failures.get(delivery.topic, 0) + 1
        log.warning("delivery_released", topic=delivery.topic, cause=cause, failures=failures)
        await pause(self._stopping, _PAUSES_SECONDS[min(failures, len(_PAUSES_SECONDS)) - 1])
        await work.release(delivery)

    async def _carry_out_together(self, work: Work, group: Sequence[Delivery]) -> None:
        """Store and publish a group. Raises on any failure."""
        decoded = decode(*group)
        if decoded.poison:
            raise Internal
        stored = Stored.nothing()
        for n, part in enumerate(_parts(decoded.commands)):
            if n:
                await self._publisher.publish_stored(stored)
            stored = await handle(self._database, part, self._limits, lock_seconds=_GROUP_LOCK_SECONDS)
        await self._complete(work, group, decoded, stored)

    async def _carry_out(self, work: Work, delivery: Delivery) -> None:
        """Store and publish a delivery, without the entries and commands that cannot be processed."""
        decoded = decode(delivery)
        stored = Stored.nothing()
        for n, part in enumerate(_parts(decoded.commands)):
            if n:
                await self._publisher.publish_stored(stored)
            stored = await self._store(part, decoded.sources)
        await self._set_aside(decoded.poison, "entry")
        await self._complete(work, [delivery], decoded, stored)

    async def _complete(self, work: Work, done: Sequence[Delivery], decoded: Decoded, last: Stored) -> None:
        """Publish the last results of deliveries and acknowledge them. Raises `BusError`; release them then."""
        batch = self._publisher.batch(last) + replies(decoded.refused)
        started = time.perf_counter()
        await work.complete(done, batch)
        PUBLISH_SECONDS.observe(time.perf_counter() - started)
        self._publisher.published(last.entries, last.unpublished)
        self.has_stored, self._failed = True, 0
        log.debug("batch_stored", deliveries=len(done), commands=len(decoded.commands))

    async def _store(self, commands: Sequence[Command], sources: Mapping[CommandId, events.Command]) -> Stored:
        """Store a batch; when the database refuses it, all of its commands except those at fault. Raises `Unavailable`."""
        try:
            return await handle(self._database, commands, self._limits)
        except Unavailable:
            raise
        except Exception as error:  # the consume loop: one command must not stop the others
            log.exception("batch_refused", commands=len(commands), error=type(error).__name__)
            return await self._store_one_by_one(commands, sources)

    async def _store_one_by_one(self, commands: Sequence[Command], sources: Mapping[CommandId, events.Command]) -> Stored:
        together = Stored.nothing()
        for command in commands:
            try:
                stored = await handle(self._database, [command], self._limits)
            except Unavailable:
                raise
            except Exception as error:  # as above: this command is at fault
                DEFECTS.labels("command").inc()
                COMMANDS.labels(kind_of(type(command.body)), Internal.reason).inc()
                log.exception("command_set_aside", command=command.id, error=type(error).__name__)
                await self._set_aside([events.CommandBatch(commands=[sources[command.id]]).SerializeToString()], "command")
                together.outcomes.append(Outcome(command.id, command.gateway, command.channel, error=Internal()))
                continue
            together.outcomes.extend(stored.outcomes)
            together.entries.extend(stored.entries)
            together.receipts.extend(stored.receipts)
            together.reads.extend(stored.reads)
            together.unpublished.extend(stored.unpublished)
        return together

    async def _set_aside(self, payloads: Sequence[bytes], what: str) -> None:
        if payloads:
            await self._publisher.publish_rejected(payloads)
            REJECTED.labels(what).inc(len(payloads))
            log.error("poison_set_aside", what=what, count=len(payloads))


def _parts(commands: Sequence[Command]) -> Iterator[Sequence[Command]]:
    """Divide commands among transactions, in which the tenants take turns. Commands of one tenant keep their order."""
    if len(commands) > _TRANSACTION_COMMANDS:
        commands = _in_turns(commands)
    for start in range(0, len(commands), _TRANSACTION_COMMANDS):
        yield commands[start : start + _TRANSACTION_COMMANDS]


def _in_turns(commands: Sequence[Command]) -> Sequence[Command]:
    """Order commands so that the first of every tenant come first, then the second of every tenant, and so on."""
    turns: Counter[str] = Counter()
    placed: list[tuple[int, Command]] = []
    for command in commands:
        placed.append((turns[command.tenant], command))
        turns[command.tenant] += 1
    return [command for _, command in sorted(placed, key=itemgetter(0))]

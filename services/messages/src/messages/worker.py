"""Takes command batches from the bus, has them stored, publishes what came of them, and only then acknowledges.

A crash anywhere in between repeats the delivery, and the repeat finds its entries made. Poison is set aside, its neighbours go
through. While PostgreSQL or the bus is away a delivery is given back and tried again; other partitions go on by themselves.

A commit costs the same for one delivery as for eight, so whatever has come while the last ones were being committed is stored
together (`docs/adr/0013`). Together only while all goes well: where anything fails, or a channel's lock would have to be waited
for, each delivery is carried out by itself, so that no partition waits for another's trouble.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain

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
from messages.message import CommandId
from messages.metrics import COMMANDS, PUBLISH_SECONDS, REJECTED, RETRIES
from messages.publisher import Publisher, replies

GROUP = "messages"
log = structlog.get_logger()
_TRANSACTION_COMMANDS = 1_000
_GROUP_LOCK_SECONDS = 0.05
"""A group waits this long for a channel that another transaction has locked."""
_GROUPS = 2
"""Groups of deliveries under way: while one is being committed the other is read and encoded."""
_PAUSES_SECONDS = (0.05, 0.1, 0.2, 0.5, 1.0)


@dataclass(slots=True)
class Decoded:
    """What the entries of a delivery hold."""

    commands: list[Command] = field(default_factory=list)
    sources: dict[CommandId, events.Command] = field(default_factory=dict)
    """What each command was read from."""
    refused: list[Outcome] = field(default_factory=list)
    """Of commands that can never be stored."""
    poison: list[bytes] = field(default_factory=list)
    """Entries that are no batches."""


def decode(*deliveries: Delivery) -> Decoded:
    """Read the entries of deliveries, in order."""
    found = Decoded()
    for entry in chain.from_iterable(delivery.entries for delivery in deliveries):
        try:
            batch = events.CommandBatch.FromString(entry.payload)
        except DecodeError:
            found.poison.append(entry.payload)
            continue
        for given in batch.commands:
            try:
                command = convert.command(given)
            except HubbubError as error:
                COMMANDS.labels(given.WhichOneof("body") or "unknown", error.reason).inc()
                found.refused.append(Outcome(CommandId(given.id), given.gateway, given.channel, error=error))
            else:
                found.commands.append(command)
                found.sources[command.id] = given
    return found


class Worker:
    """One member of the group that works for all command topics."""

    def __init__(self, database: Database, publisher: Publisher, stopping: asyncio.Event) -> None:
        self._database = database
        self._publisher = publisher
        self._stopping = stopping
        """Once set, what is in hand is finished and nothing new is taken."""
        self._failures: dict[str, int] = {}
        """How often in a row deliveries of each topic were given back."""
        self._waiting: list[Delivery] = []
        """Taken, for the next group; at most one of each topic."""
        self._groups = 0
        """Under way."""
        self._gathering = False
        """One of them has yet to take what waits: what comes in the same tick goes along."""

    async def run(self, work: Work) -> None:
        """Work until `stopping`. One delivery of each topic is in hand at a time; topics do not wait for each other."""
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
        """Carry out what waits, together; each by itself when that fails."""
        group, self._waiting, self._gathering = self._waiting, [], False
        try:
            await self._carry_out_together(work, group)
        except Exception as error:  # noqa: BLE001 - the consume loop: each by itself meets its own trouble, and reports it
            log.info("group_parted", deliveries=len(group), error=type(error).__name__)
            for delivery in group:
                tasks.create_task(self._deliver(work, delivery))
        finally:
            self._groups -= 1
            self._begin_group(work, tasks)

    async def _deliver(self, work: Work, delivery: Delivery) -> None:
        try:
            await self._carry_out(work, delivery)
        except Unavailable:
            await self._postpone(work, delivery, "database")
        except BusError:
            await self._postpone(work, delivery, "bus")
        except Exception as error:  # the consume loop: other partitions go on
            DEFECTS.labels("delivery").inc()
            log.exception("delivery_failed", topic=delivery.topic, error=type(error).__name__)
            await self._postpone(work, delivery, "defect")
        else:
            self._failures.pop(delivery.topic, None)

    async def _postpone(self, work: Work, delivery: Delivery, cause: str) -> None:
        """Give a delivery back, after a pause that grows with the failures of its topic."""
        RETRIES.labels(cause).inc()
        failures = self._failures[delivery.topic] = self._failures.get(delivery.topic, 0) + 1
        log.warning("delivery_released", topic=delivery.topic, cause=cause, failures=failures)
        await pause(self._stopping, _PAUSES_SECONDS[min(failures, len(_PAUSES_SECONDS)) - 1])
        await work.release(delivery)

    async def _carry_out_together(self, work: Work, group: Sequence[Delivery]) -> None:
        """Store and publish all of a group, in which nothing may fail."""
        decoded = decode(*group)
        if decoded.poison:
            raise Internal
        stored = Stored.nothing()
        for n, part in enumerate(_parts(decoded.commands)):
            if n:
                await self._publisher.publish_stored(stored)
            stored = await handle(self._database, part, lock_seconds=_GROUP_LOCK_SECONDS)
        await self._complete(work, group, decoded, stored)

    async def _carry_out(self, work: Work, delivery: Delivery) -> None:
        """Store and publish all of a delivery, and set aside what cannot be."""
        decoded = decode(delivery)
        stored = Stored.nothing()
        for n, part in enumerate(_parts(decoded.commands)):
            if n:
                await self._publisher.publish_stored(stored)
            stored = await self._store(part, decoded.sources)
        await self._set_aside(decoded.poison, "entry")
        await self._complete(work, [delivery], decoded, stored)

    async def _complete(self, work: Work, done: Sequence[Delivery], decoded: Decoded, last: Stored) -> None:
        """Publish the last that came of deliveries, and with it acknowledge them. Raises `BusError`: they are still in hand."""
        batch = self._publisher.batch(last) + replies(decoded.refused)
        started = time.perf_counter()
        await work.complete(done, batch)
        PUBLISH_SECONDS.observe(time.perf_counter() - started)
        self._publisher.settle(last.unpublished)
        log.debug("batch_stored", deliveries=len(done), commands=len(decoded.commands))

    async def _store(self, commands: Sequence[Command], sources: Mapping[CommandId, events.Command]) -> Stored:
        """Store a batch, or, when the database refuses it, all of it but the culprits. Raises `Unavailable`."""
        try:
            return await handle(self._database, commands)
        except Unavailable:
            raise
        except Exception as error:  # the consume loop: one command must not stop the others
            log.exception("batch_refused", commands=len(commands), error=type(error).__name__)
            return await self._store_one_by_one(commands, sources)

    async def _store_one_by_one(self, commands: Sequence[Command], sources: Mapping[CommandId, events.Command]) -> Stored:
        together = Stored.nothing()
        for command in commands:
            try:
                stored = await handle(self._database, [command])
            except Unavailable:
                raise
            except Exception as error:  # as above: this is the culprit
                DEFECTS.labels("command").inc()
                COMMANDS.labels(kind_of(type(command.body)), Internal.reason).inc()
                log.exception("command_set_aside", command=command.id, error=type(error).__name__)
                await self._set_aside([events.CommandBatch(commands=[sources[command.id]]).SerializeToString()], "command")
                together.outcomes.append(Outcome(command.id, command.gateway, command.channel, error=Internal()))
                continue
            together.outcomes.extend(stored.outcomes)
            together.entries.extend(stored.entries)
            together.receipts.extend(stored.receipts)
            together.unpublished.extend(stored.unpublished)
        return together

    async def _set_aside(self, payloads: Sequence[bytes], what: str) -> None:
        if payloads:
            await self._publisher.publish_rejected(payloads)
            REJECTED.labels(what).inc(len(payloads))
            log.error("poison_set_aside", what=what, count=len(payloads))


def _parts(commands: Sequence[Command]) -> Iterator[Sequence[Command]]:
    for start in range(0, len(commands), _TRANSACTION_COMMANDS):
        yield commands[start : start + _TRANSACTION_COMMANDS]

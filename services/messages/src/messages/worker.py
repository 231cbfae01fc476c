"""Takes command batches from the bus, has them stored, publishes what came of them, and only then acknowledges.

A crash anywhere in between repeats the delivery, and the repeat finds its entries made. Poison is set aside, its neighbours go
through. While PostgreSQL or the bus is away a delivery is given back and tried again; other partitions go on by themselves.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import structlog
from google.protobuf.message import DecodeError

from bus.bus import BusError, BusUnavailable, Delivery, Work
from chassis.errors import HubbubError, Internal, Unavailable
from chassis.lifecycle import pause
from chassis.metrics import DEFECTS
from chassis.postgres import Database
from hubbub.events.v1 import events_pb2 as events
from messages import convert
from messages.commands import Command, Outcome, Stored
from messages.handlers import handle, kind_of
from messages.message import CommandId
from messages.metrics import COMMANDS, REJECTED, RETRIES
from messages.publisher import Publisher

GROUP = "messages"
log = structlog.get_logger()
_TRANSACTION_COMMANDS = 500
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


def decode(delivery: Delivery) -> Decoded:
    """Read a delivery's entries, in order."""
    found = Decoded()
    for entry in delivery.entries:
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

    async def run(self, work: Work) -> None:
        """Work until `stopping`. One delivery of each topic is in hand at a time; topics do not wait for each other."""
        async with asyncio.TaskGroup() as deliveries:
            taking = deliveries.create_task(self._take(work, deliveries))
            await self._stopping.wait()
            taking.cancel()

    async def _take(self, work: Work, deliveries: asyncio.TaskGroup) -> None:
        async for delivery in work:
            deliveries.create_task(self._deliver(work, delivery))

    async def _deliver(self, work: Work, delivery: Delivery) -> None:
        started = time.perf_counter()
        try:
            entries, commands = await self._carry_out(delivery)
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
            await _acknowledge(work, delivery)
            milliseconds = round((time.perf_counter() - started) * 1e3, 2)
            log.info("batch_stored", topic=delivery.topic, commands=commands, entries=entries, milliseconds=milliseconds)

    async def _postpone(self, work: Work, delivery: Delivery, cause: str) -> None:
        """Give a delivery back, after a pause that grows with the failures of its topic."""
        RETRIES.labels(cause).inc()
        failures = self._failures[delivery.topic] = self._failures.get(delivery.topic, 0) + 1
        log.warning("delivery_released", topic=delivery.topic, cause=cause, failures=failures)
        await pause(self._stopping, _PAUSES_SECONDS[min(failures, len(_PAUSES_SECONDS)) - 1])
        await work.release(delivery)

    async def _carry_out(self, delivery: Delivery) -> tuple[int, int]:
        """Store and publish all of a delivery; returns how many entries of how many commands."""
        decoded = decode(delivery)
        entries = 0
        for part in _parts(decoded.commands):
            stored = await self._store(part, decoded.sources)
            await self._publisher.publish_stored(stored)
            entries += len(stored.entries)
        await self._publisher.publish_replies(decoded.refused)
        await self._set_aside(decoded.poison, "entry")
        return entries, len(decoded.commands)

    async def _store(self, commands: Sequence[Command], sources: Mapping[CommandId, events.Command]) -> Stored:
        """Store a batch, or, when the database refuses it, all of it but the culprits. Raises `Unavailable`."""
        published = self._publisher.take_settled()
        try:
            return await handle(self._database, commands, published)
        except Unavailable:
            self._publisher.settle(published)
            raise
        except Exception as error:  # the consume loop: one command must not stop the others
            self._publisher.settle(published)
            log.exception("batch_refused", commands=len(commands), error=type(error).__name__)
            return await self._store_one_by_one(commands, sources)

    async def _store_one_by_one(self, commands: Sequence[Command], sources: Mapping[CommandId, events.Command]) -> Stored:
        together = Stored([], [], [], [])
        for command in commands:
            try:
                stored = await handle(self._database, [command])
            except Unavailable:
                raise
            except Exception as error:  # as above: this is the culprit
                DEFECTS.labels("command").inc()
                COMMANDS.labels(kind_of(command), Internal.reason).inc()
                log.exception("command_set_aside", command=command.id, error=type(error).__name__)
                await self._set_aside([events.CommandBatch(commands=[sources[command.id]]).SerializeToString()], "command")
                together.outcomes.append(Outcome(command.id, command.gateway, command.channel, error=Internal()))
                continue
            together.outcomes.extend(stored.outcomes)
            together.entries.extend(stored.entries)
            together.receipts.extend(stored.receipts)
            together.noted.extend(stored.noted)
        return together

    async def _set_aside(self, payloads: Sequence[bytes], what: str) -> None:
        if payloads:
            await self._publisher.publish_rejected(payloads)
            REJECTED.labels(what).inc(len(payloads))
            log.error("poison_set_aside", what=what, count=len(payloads))


async def _acknowledge(work: Work, delivery: Delivery) -> None:
    try:
        await work.acknowledge(delivery)
    except BusUnavailable:  # it may come again, and finds its entries made
        log.warning("delivery_not_acknowledged", topic=delivery.topic)


def _parts(commands: Sequence[Command]) -> Iterator[Sequence[Command]]:
    for start in range(0, len(commands), _TRANSACTION_COMMANDS):
        yield commands[start : start + _TRANSACTION_COMMANDS]

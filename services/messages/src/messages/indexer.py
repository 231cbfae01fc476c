"""Keeps the search index up to date with the log: a durable reader for each generation of the index.

Posts are indexed as they were posted; a message that was edited or deleted is read from the log in its present state.
A generation that is being built answers searches as soon as it has everything, and the one before is dropped soon after.
Several processes may run this: they share the partitions.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import structlog

from bus.bus import Bus, BusError
from bus.reader import Batch, ReaderOptions, open_reader
from chassis import reader_store
from chassis.backoff import Backoff
from chassis.errors import Unavailable
from chassis.lifecycle import pause
from chassis.metrics import DEFECTS
from chassis.postgres import EVERY_TENANT, Connection, Database
from chassis.reader_store import OvertakenError, ReaderStore
from hubbub.events.v1.events_pb2 import Event, EventKind
from messages.message import ChannelId, MessageId, UserId
from messages.metrics import INDEXED
from messages.reader_log import ReaderLog
from messages.search import READER, Changes, Document, indexed_by
from messages.store import search
from messages.store.search import PostgresSearch

log = structlog.get_logger()
_GENERATIONS_SECONDS = 1.0
"""Between two looks at which generations there are."""
_FRESH_SECONDS = 10.0
"""A generation is complete when it has everything that was published until so long ago."""
_MANY_EVENTS = 500
"""A batch of so many means a backlog."""
_GATHER_SECONDS = 0.05
"""Between two batches, while there is no backlog: a transaction for each message would cost as much as storing it."""
_POSTED = EventKind.EVENT_KIND_MESSAGE_POSTED
_CHANGED = frozenset({EventKind.EVENT_KIND_MESSAGE_EDITED, EventKind.EVENT_KIND_MESSAGE_DELETED})


class _Named(msgspec.Struct):
    name: str


class _Data(msgspec.Struct):
    text: str | None = None
    attachments: list[_Named] = []


class _Frame(msgspec.Struct):
    data: _Data


_frame = msgspec.json.Decoder(_Frame).decode


def posted(event: Event) -> Document | None:
    """The message of a `message.posted`; None if its text was erased, or is sealed."""
    data = _frame(event.payload).data
    if data.text is None:
        return None
    texts = [data.text, *(each.name for each in data.attachments)]
    return Document(MessageId(event.message), ChannelId(event.channel), event.seq, UserId(event.actor), texts)


async def changes(connection: Connection, events: Sequence[Event]) -> Changes:
    """What events change in the index."""
    documents: dict[MessageId, Document] = {}
    changed: dict[MessageId, ChannelId] = {}
    for event in events:
        if event.kind == _POSTED:
            if document := posted(event):
                documents[document.message] = document
        elif event.kind in _CHANGED:
            changed[MessageId(event.message)] = ChannelId(event.channel)
    present = {each.message: each for each in await search.current(connection, changed)} if changed else {}
    for message in changed:
        documents.pop(message, None)
    documents |= present
    return Changes(list(documents.values()), [message for message in changed if message not in present])


@dataclass(frozen=True, slots=True)
class Indexer:
    """The part of one process in keeping the index up to date."""

    database: Database
    bus: Bus
    partitions: int
    instance: str
    """Unique among the live processes."""
    slice_messages: int = search.SLICE_MESSAGES
    backlog_share: float = 0.5
    """Of its time, spent on a backlog. The rest is left to what stores new messages."""

    async def run(self, stopping: asyncio.Event) -> None:
        """Index until `stopping`, every generation that there is."""
        running: dict[int, asyncio.Task[None]] = {}
        async with asyncio.TaskGroup() as tasks:
            while not stopping.is_set():
                try:
                    wanted = await self._generations()
                except Unavailable:
                    log.warning("generations_not_read")
                else:
                    for generation in [each for each in running if each not in wanted]:
                        running.pop(generation).cancel()
                    for generation in wanted - running.keys():
                        running[generation] = tasks.create_task(self._index(generation, stopping))
                await pause(stopping, _GENERATIONS_SECONDS)

    async def _generations(self) -> set[int]:
        """The generations to index. Drops those that no search uses any more."""
        async with self.database.connection(EVERY_TENANT) as connection:
            old = await search.retired(connection)
        for generation in old:
            async with self.database.transaction(EVERY_TENANT) as connection:
                await search.drop_generation(connection, generation)
                await reader_store.forget(connection, indexed_by(generation))
            log.info("generation_dropped", generation=generation)
        async with self.database.connection(EVERY_TENANT) as connection:
            return {*await search.generations(connection)}

    async def _index(self, generation: int, stopping: asyncio.Event) -> None:
        """Index one generation, again and again after failures."""
        backoff = Backoff()
        while not stopping.is_set():
            try:
                await self._consume(generation, stopping)
            except (BusError, Unavailable, OvertakenError) as error:
                log.warning("indexing_interrupted", generation=generation, error=type(error).__name__)
                await pause(stopping, backoff.failed())
            except Exception as error:  # the consume loop: the other generation goes on
                DEFECTS.labels("indexing").inc()
                log.exception("indexing_failed", generation=generation, error=type(error).__name__)
                await pause(stopping, backoff.failed())

    async def _consume(self, generation: int, stopping: asyncio.Event) -> None:
        index, store = PostgresSearch(generation), ReaderStore(self.database, indexed_by(generation))
        options = ReaderOptions(indexed_by(generation), READER, self.instance, self.partitions)
        await search.lay_out(self.database, generation, self.slice_messages)
        async with open_reader(self.bus, ReaderLog(self.database), store, options, stopping) as batches:
            async for batch in batches:
                began = time.monotonic()
                await self._apply(index, store, batch)
                if batch.events:
                    await search.lay_out(self.database, generation, self.slice_messages)
                if batch.cursors:
                    await self._serve_if_complete(generation)
                rest = (time.monotonic() - began) * (1 / self.backlog_share - 1)
                await pause(stopping, rest if len(batch.events) >= _MANY_EVENTS else _GATHER_SECONDS)

    async def _apply(self, index: PostgresSearch, store: ReaderStore, batch: Batch) -> None:
        async with self.database.transaction(EVERY_TENANT) as connection:
            found = await changes(connection, batch.events)
            if found.documents or found.removed:
                await index.apply(connection, found)
            await store.advance(connection, batch.channels, batch.cursors)
        INDEXED.inc(len(found.documents))

    async def _serve_if_complete(self, generation: int) -> None:
        """Let a generation answer searches once it has everything."""
        async with self.database.connection(EVERY_TENANT) as connection:
            known = await search.generations(connection)
            if known.get(generation, True):
                return
            read_to = await reader_store.read_to(connection, indexed_by(generation), self.partitions)
        if read_to is None or time.time() - read_to.timestamp() > _FRESH_SECONDS:
            return
        async with self.database.transaction(EVERY_TENANT) as connection:
            await search.serve(connection, generation)
        log.info("generation_serves", generation=generation)

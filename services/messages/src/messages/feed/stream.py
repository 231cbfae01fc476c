"""One stream of a feed: reads the log for a reader, and sends what the reader has not acknowledged.

A response is stored before it is sent, as the numbers of its events, in the transaction that moves the reader's positions. An
acknowledgement deletes it. So a stream begins with what was sent and not acknowledged, read from the log again.

Reading goes on in a task of its own, at most one response ahead of the client. Another stream of the reader, the end of the
process and the reader's deletion end that task within two seconds and free its leases on the bus, even if the client does not
read any more.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from bus.bus import Bus, BusError
from bus.reader import Batch, ReaderOptions, open_reader
from chassis.errors import Unavailable
from chassis.lifecycle import pause
from chassis.postgres import EVERY_TENANT, Database
from chassis.reader_store import OvertakenError, ReaderStore
from hubbub.events.v1.events_pb2 import Event
from hubbub.messages.v1 import feed_service_pb2 as rpc
from messages import cursors
from messages.feed.filters import Filter
from messages.message import ChannelId, Range
from messages.metrics import FEED_EVENTS
from messages.reader_log import ReaderLog
from messages.store import feed, log
from messages.store.feed import Opened, ReaderName, SentBatch

RESPONSE_BYTES = 1024 * 1024
"""Payloads of a response, unless it has one event only. Below the 4 MiB that gRPC clients accept by default."""
UNACKNOWLEDGED = 256
"""With so many responses sent and not acknowledged, the stream waits for an acknowledgement."""
_READ_EVENTS = 2_000
"""Read from the log at once: a batch costs a commit."""
_WATCH_SECONDS = 1.0
_ROOM_SECONDS = 0.1
"""Between two looks whether there was an acknowledgement."""
_PAGE = 20
"""Unacknowledged responses read at once."""
_RESETS = 5_000
"""Channels of one page."""
_INTERNAL_FIELDS: tuple[Literal["gateway", "hidden_payload", "about", "roster", "welcome"], ...] = (
    "gateway",
    "hidden_payload",
    "about",
    "roster",
    "welcome",
)


@dataclass(frozen=True, slots=True)
class Feeds:
    """What the streams of a process share."""

    database: Database
    bus: Bus
    partitions: int
    stopping: asyncio.Event
    """Set when the process stops."""
    unacknowledged: int = UNACKNOWLEDGED


def cursor_of(batch: SentBatch) -> str:
    """The cursor that acknowledges a response."""
    return cursors.write([batch.epoch, batch.number])


class Stream:
    """A stream to one client."""

    def __init__(self, feeds: Feeds, reader: ReaderName, serving: frozenset[str] | None, chosen: Filter) -> None:
        self._feeds = feeds
        self._database = feeds.database
        self._reader = reader
        self._serving = serving
        """Tenants whose log it reads; None for all."""
        self._filter = chosen
        self._id = ""
        self._epoch = ""
        self._unacknowledged = 0
        """As last counted, and what was sent since."""
        self._ended = asyncio.Event()
        """Set when reading ends."""
        self._ready: asyncio.Queue[rpc.StreamEventsResponse | None] = asyncio.Queue(1)
        """The next response; None at the end."""

    async def responses(self, start: rpc.ReaderStart.ValueType) -> AsyncGenerator[rpc.StreamEventsResponse]:
        """Take over from other streams of the reader, and send.

        Ends with `Unavailable`, with `Conflict` if a later stream took over, or with `NotFound` if the reader was deleted.
        """
        opened = await self._open(start)
        running = asyncio.create_task(self._run(opened))
        try:
            while (response := await self._ready.get()) is not None:
                yield response
            await running
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    async def _open(self, start: rpc.ReaderStart.ValueType) -> Opened:
        from_now = start == rpc.READER_START_NOW if start else None
        async with self._database.transaction(EVERY_TENANT) as connection:
            opened = await feed.take_over(connection, self._reader, from_now=from_now)
        self._id, self._epoch, self._unacknowledged = opened.stream, opened.store_epoch, opened.unacknowledged
        wanted = frozenset({feed.EVERY}) if self._serving is None else self._serving
        if feed.EVERY not in opened.begun and not wanted <= opened.begun:
            await self._begin(opened, wanted)
        return opened

    async def _begin(self, opened: Opened, wanted: frozenset[str]) -> None:
        """Begin to read channels of tenants whose channels the reader has not read so far."""
        after: str | None = "" if opened.from_now else None
        while after is not None:
            async with self._database.transaction(EVERY_TENANT) as connection:
                await feed.hold(connection, self._reader, self._id)
                after = await feed.begin_at_heads(connection, self._reader, wanted, opened.begun, after)
        async with self._database.transaction(EVERY_TENANT) as connection:
            await feed.hold(connection, self._reader, self._id)
            await feed.begun(connection, self._reader, opened.begun | wanted, compare=not opened.from_now)

    async def _run(self, opened: Opened) -> None:
        """Read until something ends it, and raise that."""
        tasks = [asyncio.create_task(self._send(opened)), asyncio.create_task(self._watch())]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._ended.set()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            while not self._ready.empty():  # it was not sent, and will be sent again
                self._ready.get_nowait()
            self._ready.put_nowait(None)
        for task in done:
            task.result()

    async def _watch(self) -> None:
        """Notice what ends the stream, and acknowledgements."""
        while not self._feeds.stopping.is_set():
            await pause(self._feeds.stopping, _WATCH_SECONDS)
            async with self._database.connection(EVERY_TENANT) as connection:
                self._unacknowledged = await feed.watch(connection, self._reader, self._id)
        raise Unavailable("The service is stopping; call another instance")

    async def _send(self, opened: Opened) -> None:
        try:
            if opened.epoch != self._epoch:
                await self._send_resets()
            await self._send_again()
            store = ReaderStore(self._database, self._reader.key)
            options = ReaderOptions(
                name=self._reader.key,
                kind="feed",
                consumer=self._id,
                partitions=self._feeds.partitions,
                tenants=self._serving,
                read_events=_READ_EVENTS,
                measured=False,
            )
            source = ReaderLog(self._database, self._serving)
            async with open_reader(self._feeds.bus, source, store, options, self._ended) as batches:
                async for batch in batches:
                    await self._room()
                    for response in await self._take(store, batch):
                        await self._ready.put(response)
        except BusError as error:
            raise Unavailable from error
        except OvertakenError as error:
            raise Unavailable("The reader's positions have changed; call again") from error

    async def _room(self) -> None:
        """Wait until less than the bound is unacknowledged."""
        while self._unacknowledged >= self._feeds.unacknowledged and not self._ended.is_set():
            await pause(self._ended, _ROOM_SECONDS)
            async with self._database.connection(EVERY_TENANT) as connection:
                self._unacknowledged = await feed.watch(connection, self._reader, self._id)

    async def _take(self, store: ReaderStore, batch: Batch) -> list[rpc.StreamEventsResponse]:
        """Move the reader's positions by a batch, and store what to send of it. Returns the responses."""
        events = await self._filter.select(self._database, batch.events)
        responses = []
        async with self._database.transaction(EVERY_TENANT) as connection:
            epoch = await feed.hold(connection, self._reader, self._id)
            if epoch != self._epoch:
                raise Unavailable("The store has a new epoch; call again")
            for part, ranges in _parts(events, batch.channels):
                sent = await feed.add_batch(connection, self._reader, self._id, ranges)
                responses.append(self._response(part, cursor_of(sent)))
            await store.advance(connection, batch.channels, batch.cursors)
        self._unacknowledged += len(responses)
        FEED_EVENTS.labels(self._reader.caller).inc(len(events))
        return responses

    def _response(self, events: Sequence[Event], cursor: str = "") -> rpc.StreamEventsResponse:
        for event in events:
            for name in _INTERNAL_FIELDS:
                event.ClearField(name)
        kinds = self._filter.kinds(events)
        return rpc.StreamEventsResponse(cursor=cursor, epoch=self._epoch, events=events, channel_kinds=kinds)

    async def _send_again(self) -> None:
        """Send what is not acknowledged, as the log has it now."""
        number = 0
        while True:
            async with self._database.connection(EVERY_TENANT) as connection:
                page = await feed.batches(connection, self._reader, number, _PAGE)
            for batch in page:
                number = batch.number
                async for response in self._read_again(batch):
                    await self._ready.put(response)
            if len(page) < _PAGE:
                return

    async def _read_again(self, batch: SentBatch) -> AsyncGenerator[rpc.StreamEventsResponse]:
        """What was sent once, as one response or more; the last one has the cursor."""
        before: rpc.StreamEventsResponse | None = None
        for ranges in log.pages(batch.ranges):
            events = await self._filter.select(self._database, await ReaderLog(self._database).read(ranges))
            for part in _split(events):
                if before is not None:
                    yield before
                before = self._response(part)
        last = before or self._response([])
        last.cursor = cursor_of(batch)
        yield last

    async def _send_resets(self) -> None:
        """Say up to which numbers events are still valid, and store that it was said."""
        after = ""
        while True:
            async with self._database.connection(EVERY_TENANT) as connection:
                page = await feed.positions(connection, self._reader, after, _RESETS)
            resets = [rpc.ChannelReset(tenant=each, channel=channel, seq=seq) for each, channel, seq in page]
            resets = [reset for reset in resets if self._filter.has(reset.tenant)]
            await self._ready.put(rpc.StreamEventsResponse(epoch=self._epoch, resets=resets))
            if len(page) < _RESETS:
                break
            after = page[-1][1]
        async with self._database.transaction(EVERY_TENANT) as connection:
            await feed.add_batch(connection, self._reader, self._id, [])


def _split(events: Sequence[Event]) -> Iterator[list[Event]]:
    """Cut events into those of a response each."""
    part: list[Event] = []
    size = 0
    for event in events:
        size += len(event.payload)
        if part and size > RESPONSE_BYTES:
            yield part
            part, size = [], len(event.payload)
        part.append(event)
    if part:
        yield part


def _parts(events: Sequence[Event], channels: Mapping[str, tuple[int, int]]) -> Iterator[tuple[list[Event], list[Range]]]:
    """Cut the events of a batch into responses, and its channels' numbers, in (before, through], into the ranges of each."""
    parts = list(_split(events))
    reached = {channel: before for channel, (before, _) in channels.items()}
    for part in parts:
        ends = {event.channel: event.seq for event in part}
        if part is parts[-1]:
            ends = {channel: through for channel, (_, through) in channels.items()}
        yield part, [Range(ChannelId(each), reached[each], end) for each, end in ends.items() if end > reached[each]]
        reached |= ends

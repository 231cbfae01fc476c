"""The feed: every event of the caller's tenants at least once, in order per channel, over every stop and loss."""

from __future__ import annotations

import asyncio
import contextlib
import json
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest
import pytest_asyncio
from prometheus_client import REGISTRY

from bus.memory import MemoryBus
from chassis.context import request as requested
from chassis.context import serving_tenants
from chassis.errors import CallerNotAllowed, Conflict, HubbubError, InvalidArgument, NotFound, Unavailable
from chassis.postgres import EVERY_TENANT
from hubbub.events.v1.events_pb2 import EventKind
from hubbub.messages.v1 import feed_service_pb2 as rpc
from hubbub.messages.v1 import messages_pb2 as nouns
from messages.commands.model import Post
from messages.feed import stream
from messages.feed.keeper import Keeper
from messages.feed.service import FeedService
from messages.feed.stream import Feeds
from messages.store import epoch
from services.messages.tests.conftest import PARTITIONS, Town, refused, until

BEGINNING, NOW = rpc.READER_START_BEGINNING, rpc.READER_START_NOW


@dataclass
class Product:
    """A product with one reader, on a feed process of its own."""

    town: Town
    tenants: frozenset[str] | None
    name: str = field(default_factory=lambda: f"p{uuid.uuid4().hex[:8]}")
    reader: str = "main"
    responses: list[rpc.StreamEventsResponse] = field(default_factory=list)
    seen: dict[str, list[int]] = field(default_factory=dict)
    """By channel: the numbers, as received."""
    texts: list[str] = field(default_factory=list)
    cursor: str = ""
    """The last one received."""
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    unacknowledged: int = stream.UNACKNOWLEDGED

    def __post_init__(self) -> None:
        feeds = Feeds(self.town.database, self.town.bus, PARTITIONS, self.stopping, self.unacknowledged)
        self.service = FeedService(feeds)

    @contextlib.contextmanager
    def calling(self) -> Iterator[None]:
        with requested("test", self.name), serving_tenants(self.tenants):
            yield

    @contextlib.asynccontextmanager
    async def streaming(
        self, start: rpc.ReaderStart.ValueType = BEGINNING, cursor: str = "", *, kinds: bool = False, **chosen: Any
    ) -> AsyncIterator[AsyncGenerator[rpc.StreamEventsResponse]]:
        """A stream, as a client has it."""
        request = rpc.StreamEventsRequest(reader=self.reader, start=start, cursor=cursor, filter=rpc.EventFilter(**chosen))
        request.with_channel_kinds = kinds
        with self.calling():
            async with contextlib.aclosing(self.service.StreamEvents(request, None)) as responses:
                yield responses

    def take(self, response: rpc.StreamEventsResponse) -> None:
        """Process a response."""
        self.responses.append(response)
        for event in response.events:
            self.seen.setdefault(event.channel, []).append(event.seq)
            self.texts.append(json.loads(event.payload)["data"].get("text", ""))
        self.cursor = response.cursor or self.cursor

    async def read(self, responses: AsyncGenerator[rpc.StreamEventsResponse], events: int) -> None:
        """Process responses until so many more events were received."""
        count = sum(map(len, self.seen.values())) + events
        async with asyncio.timeout(30):
            while sum(map(len, self.seen.values())) < count:
                self.take(await anext(responses))

    async def end(self, responses: AsyncGenerator[rpc.StreamEventsResponse], error: type[HubbubError]) -> None:
        """Process responses until the stream ends with this error."""

        async def all_of_them() -> None:
            async for response in responses:
                self.take(response)

        async with asyncio.timeout(30):
            await refused(all_of_them(), error)

    def restarted(self, **changed: Any) -> Product:
        """The same reader, of a product that remembers nothing, on another feed process."""
        return Product(self.town, changed.pop("tenants", self.tenants), self.name, **changed)

    async def readers(self) -> dict[str, rpc.Reader]:
        with self.calling():
            listed = await self.service.ListReaders(rpc.ListReadersRequest(), None)
        return {each.name: each for each in listed.readers}

    async def delete(self) -> None:
        with self.calling():
            await self.service.DeleteReader(rpc.DeleteReaderRequest(reader=self.reader), None)

    async def acknowledge(self, cursor: str = "") -> None:
        with self.calling():
            await self.service.AcknowledgeEvents(
                rpc.AcknowledgeEventsRequest(reader=self.reader, cursor=cursor or self.cursor), None
            )


@pytest_asyncio.fixture
async def product(own_town: Town) -> Product:
    return Product(own_town, None)


async def test_a_reader_gets_every_event_and_after_a_restart_those_that_it_did_not_acknowledge(product: Product) -> None:
    rooms = [await product.town.channel("ann", "bob") for _ in range(3)]
    for room in rooms:
        await product.town.post(room, "ann")
    async with product.streaming() as responses:
        await product.read(responses, 3 * 4)
        await product.acknowledge()
        await product.town.post(rooms[0], "ann", "live")
        await product.read(responses, 1)
    assert product.seen == {rooms[0]: [1, 2, 3, 4, 5], rooms[1]: [1, 2, 3, 4], rooms[2]: [1, 2, 3, 4]}
    await product.town.post(rooms[1], "ann", "while away")
    again = product.restarted()
    async with again.streaming() as responses:
        await again.read(responses, 2)
    assert again.seen == {rooms[0]: [5], rooms[1]: [5]}
    assert again.texts == ["live", "while away"]


async def test_what_is_acknowledged_on_another_process_or_with_the_next_stream_does_not_come_again(product: Product) -> None:
    room = await product.town.channel("ann")
    async with product.streaming() as responses:
        await product.read(responses, 2)
    again = product.restarted()
    await again.acknowledge(product.cursor)
    async with again.streaming() as responses:
        await again.town.post(room, "ann")
        await again.read(responses, 1)
    last = product.restarted()
    async with last.streaming(cursor=again.cursor) as responses:
        await last.town.post(room, "ann")
        await last.read(responses, 1)
    assert (again.seen, last.seen) == ({room: [3]}, {room: [4]})
    await refused(last.acknowledge("AAAA"), InvalidArgument)


async def test_a_reader_that_starts_now_gets_no_earlier_event(product: Product) -> None:
    old = await product.town.channel("ann")
    async with product.streaming(NOW) as responses:
        responses_task = asyncio.create_task(anext(responses))
        await until(lambda: _has_begun(product))
        await product.town.post(old, "ann")
        new = await product.town.channel("bob")
        async with asyncio.timeout(30):
            product.take(await responses_task)
        while sum(map(len, product.seen.values())) < 3:
            await product.read(responses, 1)
    assert product.seen == {old: [3], new: [1, 2]}


async def _has_begun(product: Product) -> bool:
    async with product.town.database.connection(EVERY_TENANT) as connection:
        query = "SELECT 1 FROM feed_readers WHERE caller = %s AND tenants <> '{}'"
        return await (await connection.execute(query, [product.name])).fetchone() is not None


async def test_a_new_reader_says_where_it_starts(product: Product) -> None:
    async with product.streaming(rpc.READER_START_UNSPECIFIED) as responses:
        await product.end(responses, InvalidArgument)


async def test_filters_choose_tenants_kinds_of_channels_and_kinds_of_events(product: Product) -> None:
    town = product.town
    group, public = await town.channel("ann"), await town.channel("ann", kind="public")
    for room in (group, public):
        await town.post(room, "ann", f"in {room}")
    chosen: dict[str, Any] = {
        "tenants": [town.tenant],
        "channel_kinds": [nouns.CHANNEL_KIND_PUBLIC],
        "event_kinds": [EventKind.EVENT_KIND_MESSAGE_POSTED],
    }
    async with product.streaming(**chosen) as responses:
        await product.read(responses, 1)
        await product.acknowledge()
        town.tenant, before = "another", town.tenant
        await town.post(await town.channel("ann", kind="public"), "ann")
        town.tenant = before
        await town.post(public, "ann", "last")
        await product.read(responses, 1)
    assert product.texts == [f"in {public}", "last"]


async def test_responses_tell_the_kinds_of_channels_if_asked(product: Product) -> None:
    group, public = await product.town.channel("ann"), await product.town.channel("ann", kind="public")
    told: dict[str, int] = {}
    async with product.streaming(kinds=True) as responses:
        await product.read(responses, 2)
    for response in product.responses:
        assert response.channel_kinds.keys() == {event.channel for event in response.events}
        told |= response.channel_kinds
    assert told == {group: nouns.CHANNEL_KIND_GROUP, public: nouns.CHANNEL_KIND_PUBLIC}
    again = product.restarted()
    async with again.streaming() as responses:
        await again.read(responses, 2)
    assert not any(response.channel_kinds for response in again.responses)


async def test_a_caller_gets_the_events_of_its_tenants_only(product: Product) -> None:
    town = product.town
    own = await town.channel("ann")
    own_tenant, town.tenant = town.tenant, "another"
    other = await town.channel("ann")
    town.tenant = own_tenant
    limited = Product(town, frozenset({own_tenant}), product.name)
    async with limited.streaming() as responses:
        await limited.read(responses, 2)
        await limited.acknowledge()
    assert limited.seen == {own: [1, 2]}
    async with limited.streaming(tenants=["another"]) as responses:
        await limited.end(responses, CallerNotAllowed)
    widened = limited.restarted(tenants=frozenset({own_tenant, "another"}))
    async with widened.streaming() as responses:
        await widened.read(responses, 2)
        await widened.acknowledge()
    assert widened.seen == {other: [1, 2]}
    restricted = limited.restarted(tenants=frozenset({"another"}))
    await town.post(own, "ann")
    async with restricted.streaming() as responses:
        town.tenant = "another"
        await town.post(other, "ann")
        await restricted.read(responses, 1)
    assert restricted.seen == {other: [3]}


async def test_a_second_stream_takes_over(product: Product) -> None:
    room = await product.town.channel("ann")
    async with product.streaming() as responses:
        await product.read(responses, 2)
        later = product.restarted()
        async with later.streaming() as others:
            await later.read(others, 2)
            await product.end(responses, Conflict)
            await later.town.post(room, "ann")
            await later.read(others, 1)
    assert later.seen == {room: [1, 2, 3]}


@pytest.mark.parametrize("loss", ["wiped", "trimmed"])
async def test_what_the_bus_loses_comes_from_the_log(product: Product, loss: str) -> None:
    bus = product.town.bus
    assert isinstance(bus, MemoryBus)
    rooms = [await product.town.channel("ann") for _ in range(4)]
    async with product.streaming() as responses:
        await product.read(responses, 8)
        await product.acknowledge()
    for room in rooms:
        await product.town.post(room, "ann")
    if loss == "wiped":
        bus.wipe()
    else:
        for topic in product.town.event_topics():
            bus.trim(topic, 0)
    again = product.restarted()
    async with again.streaming() as responses:
        await again.read(responses, 4)
    assert again.seen == {room: [3] for room in rooms}


async def test_a_reader_that_does_not_acknowledge_is_sent_a_bounded_number_of_responses(product: Product) -> None:
    room = await product.town.channel("ann")
    bounded, other = product.restarted(unacknowledged=2), product.restarted(reader="other")
    async with bounded.streaming() as responses, other.streaming() as others:
        await bounded.read(responses, 2)
        await other.read(others, 2)
        for _ in range(4):
            await product.town.post(room, "ann")
            await other.read(others, 1)
        assert (await product.readers())["main"].unacknowledged == 2
        await bounded.read(responses, 1)
        await bounded.acknowledge()
        await bounded.read(responses, 3)
    assert bounded.seen == {room: [1, 2, 3, 4, 5, 6]}


async def test_many_bytes_are_sent_as_several_responses_and_acknowledged_one_by_one(product: Product) -> None:
    room = await product.town.channel("ann")
    await product.town.do(*(product.town.command(room, "ann", Post("x" * 16_000)) for _ in range(150)))
    async with product.streaming() as responses:
        await product.read(responses, 152)
    sizes = [sum(len(event.payload) for event in response.events) for response in product.responses]
    assert len(sizes) >= 3
    assert max(sizes) <= stream.RESPONSE_BYTES
    await product.acknowledge(product.responses[0].cursor)
    again = product.restarted()
    async with again.streaming() as responses:
        await again.read(responses, 152 - len(product.responses[0].events))
    assert product.seen[room] == list(range(1, 153))
    assert again.seen[room] == product.seen[room][len(product.responses[0].events) :]


async def test_after_a_loss_of_the_store_a_reader_is_told_which_events_are_void(product: Product) -> None:
    room, quiet = await product.town.channel("ann"), await product.town.channel("ann")
    async with product.streaming() as responses:
        await product.read(responses, 4)
        await product.acknowledge()
        await product.town.post(room, "ann", "lost")
        await product.read(responses, 1)
    await _restore(product, room, 2)
    await product.town.post(room, "ann", "new")
    again = product.restarted()
    async with again.streaming(cursor=product.cursor) as responses:
        await again.read(responses, 1)
    resets = {reset.channel: reset.seq for response in again.responses for reset in response.resets}
    assert resets == {room: 2, quiet: 2}
    assert (again.seen, again.texts) == ({room: [3]}, ["new"])
    assert again.responses[-1].epoch > product.responses[-1].epoch
    last = product.restarted()
    async with last.streaming(cursor=again.cursor) as responses:
        await last.town.post(room, "ann")
        await last.read(responses, 1)
    assert not any(response.resets for response in last.responses)


@pytest.mark.parametrize("stream", ["an earlier one", "none"])
async def test_a_stream_that_the_store_has_lost_ends_as_unavailable(product: Product, stream: str) -> None:
    earlier = "0190a0a0-0000-7000-8000-000000000001" if stream == "an earlier one" else None
    await product.town.channel("ann")
    async with product.streaming() as responses:
        await product.read(responses, 2)
        async with product.town.database.transaction(EVERY_TENANT) as connection:
            await connection.execute("UPDATE feed_readers SET stream = %s", [earlier])
        await product.end(responses, Unavailable)


async def _restore(product: Product, room: str, head: int) -> None:
    """Put the database back to the time when a channel had this head, as a backup does, and declare an epoch."""
    async with product.town.database.transaction(EVERY_TENANT) as connection:
        await connection.execute("DELETE FROM entries WHERE channel = %s AND seq > %s", [room, head])
        await connection.execute("UPDATE channels SET head = %s WHERE id = %s", [head, room])
        await connection.execute("UPDATE reader_positions SET seq = %s WHERE channel = %s", [head, room])
        await connection.execute("DELETE FROM feed_batches")
        await connection.execute("UPDATE feed_readers SET number = number - 1")
        assert await epoch.declare(connection, "restored")
    bus = product.town.bus
    assert isinstance(bus, MemoryBus)
    bus.wipe()


async def test_a_stream_ends_when_its_process_stops_or_its_reader_is_deleted(product: Product) -> None:
    await product.town.channel("ann")
    async with product.streaming() as responses:
        await product.read(responses, 2)
        product.stopping.set()
        await product.end(responses, Unavailable)
    again = product.restarted()
    async with again.streaming() as responses:
        await again.read(responses, 2)
        await again.delete()
        await again.end(responses, NotFound)
    await refused(again.acknowledge(), NotFound)
    await refused(again.delete(), NotFound)


async def test_a_caller_has_a_bounded_number_of_readers_which_are_listed_measured_and_dropped_when_unused(
    product: Product,
) -> None:
    await product.town.channel("ann")
    for number in range(8):
        product.reader = f"r{number}"
        async with product.streaming() as responses:
            await product.read(responses, 2)
    product.reader = "one-too-many"
    async with product.streaming() as responses:
        await product.end(responses, Conflict)
    listed = await product.readers()
    assert list(listed) == [f"r{number}" for number in range(8)]
    assert {each.unacknowledged for each in listed.values()} == {1}
    keeper = Keeper(product.town.database, PARTITIONS)
    await keeper.measure()
    assert all((lag(product, f"r{number}") or 0) > 0 for number in range(8))
    async with product.town.database.transaction(EVERY_TENANT) as connection:
        query = "UPDATE feed_readers SET used_at = now() - interval '31 days' WHERE caller = %s AND name <> 'r3'"
        await connection.execute(query, [product.name])
    await keeper.delete_unused()
    await keeper.measure()
    assert list(await product.readers()) == ["r3"]
    assert [number for number in range(8) if lag(product, f"r{number}") is not None] == [3]


def lag(product: Product, reader: str) -> float | None:
    return REGISTRY.get_sample_value("hubbub_feed_lag_seconds", {"caller": product.name, "reader": reader})

"""The readers of other products: who may send to each, what was sent, and what is not acknowledged.

Every function works across tenants: its connection has the scope `EVERY_TENANT`.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from chassis import reader_store
from chassis.errors import Conflict, InvalidArgument, NotFound, Unavailable
from chassis.postgres import EVERY_TENANT, Connection, Database
from messages.message import ChannelId, Range, TenantId
from messages.policy import ChannelKind
from messages.queries import feed as queries

READERS_PER_CALLER = 8
EVERY = "*"
"""Stands for all tenants in the list of those that a reader has begun to read."""
_FIRST = ChannelId("00000000-0000-0000-0000-000000000000")


class ReaderName(msgspec.Struct, frozen=True):
    """Names a reader of a calling service."""

    caller: str
    name: str

    @property
    def key(self) -> str:
        """The reader's key in the tables, and its group on the bus. Neither part contains a dot."""
        return f"feed.{self.caller}.{self.name}"


class Opened(msgspec.Struct, frozen=True):
    """A reader as a new stream found it."""

    begun: frozenset[str]
    """Tenants whose channels it has begun to read."""
    stream: str
    """The id of the new stream."""
    from_now: bool
    epoch: str
    """The last one of which the reader knows."""
    store_epoch: str
    unacknowledged: int


class SentBatch(msgspec.Struct, frozen=True):
    """A response that was sent and is not acknowledged."""

    number: int
    epoch: str
    ranges: list[Range]


class ReaderState(msgspec.Struct, frozen=True):
    """A reader as it is listed."""

    reader: ReaderName
    created_at: datetime
    used_at: datetime
    read_to: datetime | None
    """It was sent everything that was published until then."""
    unacknowledged: int
    oldest: datetime | None
    """When the oldest unacknowledged response was sent."""


async def _row(connection: Connection, query: str, parameters: Mapping[str, object]) -> Any:
    return await (await connection.execute(query.encode(), parameters)).fetchone()


async def _rows(connection: Connection, query: str, parameters: Mapping[str, object]) -> list[Any]:
    return await (await connection.execute(query.encode(), parameters)).fetchall()


async def take_over(connection: Connection, reader: ReaderName, *, from_now: bool | None) -> Opened:
    """Make a new stream the only one that may send to a reader, in a transaction; creates the reader if `from_now` is given.

    Raises `InvalidArgument` for a new reader without `from_now`, and `Conflict` if the caller has too many.
    """
    named = {"reader": reader.key, "caller": reader.caller, "name": reader.name}
    await connection.execute(queries.LOCK_CALLER, named)
    exists, count = await _row(connection, queries.FIND, named)
    if not exists:
        if from_now is None:
            raise InvalidArgument("start is required for a new reader")
        if count >= READERS_PER_CALLER:
            raise Conflict(f"A caller has at most {READERS_PER_CALLER} readers")
        await connection.execute(queries.CREATE.encode(), {**named, "from_now": from_now})
    tenants, *rest = await _row(connection, queries.TAKE_OVER, {"reader": reader.key})
    return Opened(frozenset(tenants), *rest)


PAGE = 20_000
"""Channels of which positions are written or deleted in one statement."""


async def begin_at_heads(
    connection: Connection, reader: ReaderName, tenants: Collection[str], begun: Collection[str], after: str
) -> str | None:
    """Let a reader begin at the heads of a page of channels. Returns where the next page begins; None at the end."""
    parameters = {
        "reader": reader.key,
        "every": EVERY in tenants,
        "tenants": list(tenants),
        "begun": list(begun),
        "after": after or _FIRST,
        "limit": PAGE,
    }
    last, count = await _row(connection, queries.BEGIN_AT_HEADS, parameters)
    return str(last) if count == PAGE else None


async def begun(connection: Connection, reader: ReaderName, tenants: Collection[str], *, compare: bool) -> None:
    """Note whose channels a reader has begun to read. With `compare`, it compares its positions with all heads next."""
    if compare:
        await connection.execute(queries.FORGET_CURSORS, {"reader": reader.key})
    await connection.execute(queries.BEGUN, {"reader": reader.key, "tenants": list(tenants)})


async def hold(connection: Connection, reader: ReaderName, stream: str) -> str:
    """Keep other streams from taking over until the transaction ends. Returns the epoch.

    Raises `Conflict` if another stream took over, `NotFound` if the reader was deleted, and `Unavailable` if the store went back.
    """
    row = await _row(connection, queries.HOLD, {"reader": reader.key, "stream": stream})
    if row is None:
        await _refuse(connection, reader, stream)
    return str(row[0])


async def add_batch(connection: Connection, reader: ReaderName, stream: str, ranges: Sequence[Range]) -> SentBatch:
    """Store what is about to be sent. Raises as `hold` does."""
    parameters = {
        "reader": reader.key,
        "stream": stream,
        "channels": [each.channel for each in ranges],
        "afters": [each.after for each in ranges],
        "throughs": [each.through for each in ranges],
    }
    row = await _row(connection, queries.ADD_BATCH, parameters)
    if row is None:
        await _refuse(connection, reader, stream)
    return SentBatch(row[0], row[1], list(ranges))


async def acknowledge(connection: Connection, reader: ReaderName, epoch: str, number: int) -> None:
    """Forget what was sent up to a number of an epoch. Raises `NotFound`."""
    parameters = {"reader": reader.key, "epoch": epoch, "number": number}
    if await _row(connection, queries.ACKNOWLEDGE, parameters) is None:
        raise NotFound


async def batches(connection: Connection, reader: ReaderName, after: int, limit: int) -> list[SentBatch]:
    """A page of what is not acknowledged, in order."""
    rows = await _rows(connection, queries.BATCHES, {"reader": reader.key, "after": after, "limit": limit})
    return [
        SentBatch(number, epoch, [Range(*each) for each in zip(channels, afters, throughs, strict=True)])
        for number, epoch, channels, afters, throughs in rows
    ]


async def positions(connection: Connection, reader: ReaderName, after: str, limit: int) -> list[tuple[TenantId, ChannelId, int]]:
    """A page of channels, by id, with the number up to which the reader was sent the log."""
    return await _rows(connection, queries.POSITIONS, {"reader": reader.key, "after": after or _FIRST, "limit": limit})


async def watch(connection: Connection, reader: ReaderName, stream: str) -> int:
    """How much is not acknowledged. Raises `Conflict` if another stream took over, `NotFound` if the reader was deleted."""
    row = await _row(connection, queries.WATCH, {"reader": reader.key, "stream": stream})
    if row is None or row[0] != stream:
        await _refuse(connection, reader, stream)
    return int(row[1])


async def _refuse(connection: Connection, reader: ReaderName, stream: str) -> None:
    """Say why a stream may not send. A store that went back has an earlier stream's id."""
    row = await _row(connection, queries.WATCH, {"reader": reader.key, "stream": stream})
    if row is None:
        raise NotFound("The reader was deleted")
    if row[0] is not None and row[0] > stream:
        raise Conflict("Another stream of this reader took over")
    raise Unavailable("The store has lost this stream; call again")


async def listed(connection: Connection, caller: str | None, topics: int) -> list[ReaderState]:
    """The readers of a caller, or all of them with None. They read so many topics."""
    rows = await _rows(connection, queries.LIST, {"caller": caller, "topics": topics})
    return [ReaderState(ReaderName(caller, name), *rest) for caller, name, *rest in rows]


async def unused(connection: Connection, days: int) -> list[str]:
    """The keys of readers that were not used for so long."""
    return [key for (key,) in await _rows(connection, queries.UNUSED, {"days": days})]


async def delete(database: Database, key: str) -> bool:
    """Delete a reader with everything that is stored of it. Returns whether it existed.

    Most of its positions go first, in pages: a reader that is left without some of them is sent events again.
    """
    gone = PAGE
    while gone == PAGE:
        async with database.connection(EVERY_TENANT) as connection:
            (gone,) = await _row(connection, queries.DELETE_POSITIONS, {"reader": key, "limit": PAGE})
    async with database.transaction(EVERY_TENANT) as connection:
        found = await _row(connection, queries.DELETE, {"reader": key})
        await reader_store.forget(connection, key)
    return found is not None


async def kinds(connection: Connection, channels: Collection[str]) -> dict[str, ChannelKind]:
    """The kinds of channels."""
    rows = await _rows(connection, queries.KINDS, {"channels": list(channels)})
    return {channel: ChannelKind(kind) for channel, kind in rows}

"""The search index in PostgreSQL: one generation of it, in slices by time.

A search looks through the newest slice, then the next, then two, four, eight and so on, until it has found enough. So a common
word costs the size of one slice, and a rare one few statements, however many messages there are.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain, count
from typing import Any, NamedTuple, TypeVar

import msgspec
from psycopg import sql

from chassis.postgres import EVERY_TENANT, Connection, Database
from messages import words
from messages.message import Caller, ChannelId, Details, Message, MessageId, TenantId, UserId
from messages.queries import search as queries
from messages.search import Changes, Document, Hit, Wanted, indexed_by
from messages.store.messages import from_row

SLICE_MESSAGES = 250_000
"""With so many messages the newest slice is closed, and another begun."""
_FIRST = "00000000-0000-0000-0000-000000000000"
_CHANNELS = 1_000
"""Up to so many channels, the index looks for them too (measured: docs/adr/0045)."""
_SAMPLED = 200
"""Messages per slice in the sample by which slices are laid out."""


_details = msgspec.json.Decoder(Details).decode
ItemT = TypeVar("ItemT")


class Slice(NamedTuple):
    """A table of the index."""

    first: str
    """It has the messages from this id up to the first of the next slice."""
    name: str
    messages: int
    """Roughly how many it has."""


class PostgresSearch:
    """Implements `search.Search` with one generation of the index."""

    def __init__(self, generation: int) -> None:
        self._generation = generation

    async def apply(self, connection: Connection, changes: Changes) -> None:
        """Change the index, in a transaction. The generation must have slices (`lay_out`)."""
        await connection.execute(queries.SHARE_SLICES, {"generation": self._generation})
        slices = await _slices(connection, self._generation)
        added: list[tuple[Slice, int]] = []
        for each, documents in _by_slice(slices, changes.documents, lambda document: document.message):
            parameters = {
                "messages": [document.message for document in documents],
                "channels": [document.channel for document in documents],
                "seqs": [document.seq for document in documents],
                "words": [words.vector(document.texts, document.sender) for document in documents],
            }
            cursor = await connection.execute(_named(queries.INSERT, each), parameters)
            added.append((each, cursor.rowcount))
        for each, messages in _by_slice(slices, changes.removed, lambda message: message):
            await connection.execute(_named(queries.DELETE, each), {"messages": messages})
        for each, more in added:  # at the end, and in one order: other processes count in the same rows
            await connection.execute(queries.COUNT, {"generation": self._generation, "first": each.first, "more": more})

    async def find(self, connection: Connection, wanted: Wanted) -> Sequence[Hit]:
        """The newest messages that match, newest first."""
        query = words.query(wanted.query, wanted.sender or "")
        if not query.tsquery or not wanted.floors:
            return []
        by_words = query.has_prefix or len(wanted.floors) > _CHANNELS
        within = sql.SQL(queries.BY_WORDS if by_words else queries.BY_CHANNEL)
        limited = {channel: floor for channel, floor in wanted.floors.items() if floor}
        parameters: dict[str, Any] = {
            "query": query.tsquery,
            "channels": list(wanted.floors),
            "before": wanted.before,
            "limited": list(limited),
            "floors": list(limited.values()),
        }
        found: list[Hit] = []
        for window in _windows(await _slices(connection, self._generation), wanted.before):
            matches = sql.SQL(" UNION ALL ").join(
                sql.SQL("({})").format(_named(queries.MATCHES, each, within=within)) for each in window
            )
            statement = sql.SQL(queries.WINDOW).format(matches=matches)
            rows: Any = await (
                await connection.execute(statement, {**parameters, "limit": wanted.limit - len(found)}, prepare=False)
            ).fetchall()
            found += [Hit(*row) for row in rows]
            if len(found) >= wanted.limit:
                break
        return found


async def lay_out(database: Database, generation: int, slice_messages: int = SLICE_MESSAGES) -> None:
    """Give a generation its first slices, and another one whenever the newest is full. Raises `Unavailable`."""
    async with database.connection(EVERY_TENANT) as connection:
        if not _needs_slice(await _slices(connection, generation), slice_messages):
            return
    async with database.transaction(EVERY_TENANT) as connection:
        await connection.execute(queries.LOCK_SLICES, {"generation": generation})
        slices = await _slices(connection, generation)
        if not _needs_slice(slices, slice_messages):
            return
        firsts = [await _after(connection, slices[0])] if slices else await _firsts(connection, slice_messages)
        for first in firsts:
            await connection.execute(queries.ADD_SLICE, {"generation": generation, "first": first})


async def generations(connection: Connection) -> dict[int, bool]:
    """All generations; the value says which one answers searches."""
    rows: Any = await (await connection.execute(queries.GENERATIONS)).fetchall()
    return dict(rows)


async def serving(connection: Connection) -> int:
    """The generation that answers searches."""
    row: Any = await (await connection.execute(queries.SERVING)).fetchone()
    generation: int = row[0]
    return generation


async def begin_generation(connection: Connection) -> int:
    """Begin to build the index anew, unless it is being built; returns the generation. The search processes notice it."""
    await connection.execute(queries.BEGIN_GENERATION)
    row: Any = await (await connection.execute(queries.NEWEST_GENERATION)).fetchone()
    generation: int = row[0]
    return generation


async def size(connection: Connection, generation: int) -> int:
    """Roughly how many messages a generation has."""
    row: Any = await (await connection.execute(queries.SIZE, {"generation": generation})).fetchone()
    messages: int = row[0]
    return messages


async def serve(connection: Connection, generation: int) -> None:
    """Let a generation answer searches, in a transaction."""
    await connection.execute(queries.STOP_SERVING)
    await connection.execute(queries.SERVE, {"generation": generation})


async def retired(connection: Connection) -> list[int]:
    """Generations that no search uses any more."""
    rows: Any = await (await connection.execute(queries.RETIRED)).fetchall()
    return [generation for (generation,) in rows]


async def drop_generation(connection: Connection, generation: int) -> None:
    """Drop a generation that does not answer searches, in a transaction."""
    await connection.execute(queries.DROP_GENERATION, {"generation": generation})


async def current(connection: Connection, changed: Mapping[MessageId, ChannelId]) -> list[Document]:
    """The present state of messages, without those that were deleted."""
    parameters = {"messages": list(changed), "channels": list(changed.values())}
    rows: Any = await (await connection.execute(queries.CURRENT, parameters)).fetchall()
    return [
        Document(message, channel, seq, sender, [text, *(each.name for each in _details(details or "{}").attachments)])
        for message, channel, seq, sender, text, details in rows
        if text is not None
    ]


async def erase(database: Database, tenant: TenantId, user: UserId) -> None:
    """Remove what a user posted from every generation of the index. May be interrupted and run again. Raises `Unavailable`."""
    async with database.connection(EVERY_TENANT) as connection:
        rows: Any = await (await connection.execute(queries.ALL_SLICES)).fetchall()
    for each in [Slice(*row) for row in rows]:
        async with database.connection(EVERY_TENANT) as connection:
            parameters = {"sender": words.from_sender(user), "tenant": tenant}
            await connection.execute(_named(queries.ERASE, each), parameters)


class Scope(NamedTuple):
    """Where a caller may search, and what of it the index does not have yet."""

    floors: dict[ChannelId, int]
    """By channel: the number above which they may read."""
    behind: dict[ChannelId, int]
    """By channel that the index does not have up to its head: the head."""


async def scope(connection: Connection, caller: Caller, channel: ChannelId | None, generation: int) -> Scope:
    """The channels of the caller, or of these only the given one."""
    parameters = {"tenant": caller.tenant, "user": caller.user, "channel": channel, "reader": indexed_by(generation)}
    rows: Any = await (await connection.execute(queries.CHANNELS, parameters)).fetchall()
    return Scope({id_: floor for id_, floor, _ in rows}, {id_: head for id_, _, head in rows if head is not None})


async def is_behind(connection: Connection, heads: Mapping[ChannelId, int], generation: int) -> bool:
    """Whether the index lacks entries up to these heads."""
    parameters = {"channels": list(heads), "heads": list(heads.values()), "reader": indexed_by(generation)}
    row: Any = await (await connection.execute(queries.IS_BEHIND, parameters)).fetchone()
    behind: bool = row[0]
    return behind


async def read(connection: Connection, caller: Caller, hits: Sequence[Hit]) -> list[Message]:
    """The messages that were found, newest first, without those that the caller may not read now."""
    parameters = {
        "tenant": caller.tenant,
        "user": caller.user,
        "channels": [hit.channel for hit in hits],
        "seqs": [hit.seq for hit in hits],
    }
    rows: list[tuple[Any, ...]] = await (await connection.execute(queries.FOUND, parameters)).fetchall()
    return [from_row(row) for row in rows]


async def _slices(connection: Connection, generation: int) -> list[Slice]:
    """The slices of a generation, newest first."""
    rows: Any = await (await connection.execute(queries.SLICES, {"generation": generation})).fetchall()
    return [Slice(*row) for row in rows]


def _needs_slice(slices: Sequence[Slice], slice_messages: int) -> bool:
    return not slices or slices[0].messages >= slice_messages


async def _after(connection: Connection, newest: Slice) -> str:
    """The id at which the slice after the newest one begins."""
    row: Any = await (await connection.execute(_named(queries.NEWEST, newest))).fetchone()
    return str(uuid.UUID(int=uuid.UUID(row[0] if row else newest.first).int + 1))


async def _firsts(connection: Connection, slice_messages: int) -> list[str]:
    """Where the first slices of an index begin, so that the messages that exist fill them evenly."""
    row: Any = await (await connection.execute(queries.ESTIMATE)).fetchone()
    if row[0] <= slice_messages:
        return [_FIRST]
    every = max(slice_messages // _SAMPLED, 1)
    rows: Any = await (await connection.execute(queries.SAMPLE, {"every": every})).fetchall()
    step = slice_messages // every
    return [_FIRST, *(message for (message,) in rows[step::step])]


def _by_slice(
    slices: Sequence[Slice], items: Sequence[ItemT], message_of: Callable[[ItemT], MessageId]
) -> Iterator[tuple[Slice, list[ItemT]]]:
    """Group items by the slice that has their message."""
    left = sorted(items, key=message_of, reverse=True)
    for each in slices:
        here = [item for item in left if message_of(item) >= each.first]
        if here:
            yield each, here
        left = left[len(here) :]


def _windows(slices: Sequence[Slice], before: MessageId | None) -> Iterator[Sequence[Slice]]:
    """The slices with older messages than `before`, newest first: one, one more, then two, four, eight and so on."""
    left = [each for each in slices if before is None or each.first < before]
    for size in chain([1], (2**n for n in count())):
        if not left:
            return
        yield left[:size]
        left = left[size:]


def _named(statement: str, each: Slice, **parts: sql.Composable) -> sql.Composed:
    return sql.SQL(statement).format(slice=sql.Identifier(each.name), **parts)

"""Reads and appends log entries, and manages the outbox `unpublished`."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any

import msgspec

from chassis.pipeline import Statement
from chassis.postgres import Connection, Database
from messages.ids import rpc_command_id
from messages.message import (
    NO_DETAILS,
    Caller,
    ChannelId,
    Details,
    Entry,
    EntryKind,
    Range,
    TenantId,
    UserId,
)
from messages.queries import log as queries

_details = msgspec.json.Decoder(Details).decode
PAGE = 500
"""Entries read in one statement."""
_SWEPT = 5_000
"""Entries covered by one page of stale rows, unless its first row covers more."""


class Draft(msgspec.Struct, frozen=True):
    """An entry about a channel or member, not numbered yet."""

    kind: EntryKind
    actor: UserId
    details: Details


class Appended(msgspec.Struct, frozen=True):
    """Stored entries, and the row of `unpublished` that covers them."""

    entries: list[Entry]
    unpublished: list[int]


async def append(connection: Connection, tenant: TenantId, channel: ChannelId, drafts: Sequence[Draft]) -> Appended:
    """Number and store entries of a channel that the caller has locked, in order. Their command id names the request."""
    rows = [
        {"n": n, "kind": draft.kind.value, "actor": draft.actor, "details": draft.details} for n, draft in enumerate(drafts, 1)
    ]
    parameters = {
        "tenant": tenant,
        "channel": channel,
        "command": rpc_command_id(),
        "entries": msgspec.json.encode(rows).decode(),
    }
    answers: list[tuple[Any, ...]] = await (await connection.execute(queries.APPEND, parameters)).fetchall()
    entries = [
        Entry(channel, seq, tenant, draft.kind, draft.actor, at, details=draft.details, epoch=epoch)
        for draft, (seq, at, _, epoch) in zip(drafts, answers, strict=True)
    ]
    return Appended(entries, [answers[0][2]] if answers else [])


_RANGES = Statement(queries.RANGES)


async def read_now(database: Database, tenants: Collection[TenantId], ranges: Sequence[Range]) -> list[Entry]:
    """As `read`, in a round trip of its own."""
    (rows,) = await database.reading(tenants, [_RANGES.query(_texts(ranges))])
    return [_entry(row) for row in rows]


def _texts(ranges: Sequence[Range]) -> dict[str, list[str]]:
    return {
        "channels": [each.channel for each in ranges],
        "afters": [str(each.after) for each in ranges],
        "throughs": [str(each.through) for each in ranges],
    }


async def read(connection: Connection, ranges: Sequence[Range]) -> list[Entry]:
    """The entries of the ranges, range by range. Use `pages` to limit how many are read at once."""
    parameters = {
        "channels": [each.channel for each in ranges],
        "afters": [each.after for each in ranges],
        "throughs": [each.through for each in ranges],
    }
    rows: list[tuple[Any, ...]] = await (await connection.execute(queries.RANGES, parameters)).fetchall()
    return [_entry(row) for row in rows]


def pages(ranges: Sequence[Range], size: int = PAGE) -> Iterator[list[Range]]:
    """Cut ranges into groups of at most `size` entries, in order. The log has no gaps, so numbers count entries."""
    page: list[Range] = []
    room = size
    for each in ranges:
        after = each.after
        while after < each.through:
            through = min(each.through, after + room)
            page.append(Range(each.channel, after, through))
            room -= through - after
            after = through
            if room == 0:
                yield page
                page, room = [], size
    if page:
        yield page


async def heads(connection: Connection, channels: Sequence[ChannelId]) -> tuple[str, dict[ChannelId, int]]:
    """The store's epoch, and the heads of the channels that exist."""
    rows: list[tuple[Any, ...]] = await (await connection.execute(queries.HEADS, {"channels": list(channels)})).fetchall()
    return rows[0][0], {channel: head for _, channel, head in rows if channel}


async def heads_after(connection: Connection, channel: ChannelId, limit: int) -> list[tuple[ChannelId, int]]:
    """The heads of the channels with an id above this one, in the order of their ids."""
    parameters = {"after": channel, "limit": limit}
    rows: list[tuple[Any, ...]] = await (await connection.execute(queries.HEADS_AFTER, parameters)).fetchall()
    return [(id_, head) for id_, head in rows]


async def head(connection: Connection, tenant: TenantId, channel: ChannelId) -> tuple[int, str] | None:
    """The head of a channel, and the store's epoch; None when the tenant has no such channel."""
    row: Any = await (await connection.execute(queries.HEAD, {"tenant": tenant, "channel": channel})).fetchone()
    return (row[0], row[1]) if row else None


async def positions(
    connection: Connection, caller: Caller, channels: Sequence[ChannelId]
) -> tuple[str, list[tuple[int, int, int] | None]]:
    """The store's epoch, and (head, floor, archived_to) of each channel, in one snapshot; None where the caller may not read."""
    parameters = {"tenant": caller.tenant, "user": caller.user, "channels": list(channels)}
    rows: list[tuple[Any, ...]] = await (await connection.execute(queries.POSITIONS, parameters)).fetchall()
    return rows[0][0] if rows else "", [None if row[1] is None else (row[1], row[2], row[3]) for row in rows]


async def stale_unpublished(connection: Connection, older_than_seconds: float) -> tuple[list[int], list[Range]]:
    """A page of rows older than this, locked until the transaction ends: their ids, and the ranges they cover."""
    rows: list[tuple[Any, ...]] = await (
        await connection.execute(queries.STALE_UNPUBLISHED, {"seconds": older_than_seconds})
    ).fetchall()
    ids: list[int] = []
    ranges: list[Range] = []
    room = _SWEPT
    for id_, channels, firsts, lasts in rows:
        covered = [Range(channel, first - 1, last) for channel, first, last in zip(channels, firsts, lasts, strict=True)]
        room -= sum(each.through - each.after for each in covered)
        if ids and room < 0:
            break
        ids.append(id_)
        ranges += covered
    return ids, ranges


async def delete_unpublished(connection: Connection, ids: Sequence[int]) -> None:
    """Delete rows of `unpublished` whose entries the bus has."""
    await connection.execute(queries.DELETE_UNPUBLISHED, {"ids": list(ids)})


async def count_unpublished(connection: Connection, older_than_seconds: float) -> int:
    """How many rows are older than this; at most 10,000 are counted."""
    row: Any = await (await connection.execute(queries.COUNT_UNPUBLISHED, {"seconds": older_than_seconds})).fetchone()
    count: int = row[0]
    return count


def _entry(row: tuple[Any, ...]) -> Entry:
    channel, seq, tenant, kind, actor, at, key, command, message, text, sealed, details, about, epoch = row
    fields = _details(details) if details else NO_DETAILS
    return Entry(channel, seq, tenant, EntryKind(kind), actor, at, key, command, message, text, sealed, fields, about or 0, epoch)

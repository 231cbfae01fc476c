"""Reads and appends log entries, and manages the outbox `unpublished`."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from typing import Any

import msgspec

from chassis.pipeline import Statement
from chassis.postgres import Connection, Database
from messages.ids import rpc_command_id
from messages.message import (
    MEMBER_KINDS,
    NO_DETAILS,
    Caller,
    ChannelId,
    Details,
    Entry,
    EntryKind,
    Range,
    TenantId,
    UserId,
    Welcome,
)
from messages.policy import ChannelKind, Role
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
        Entry(channel, seq, tenant, draft.kind, draft.actor, at, details=draft.details, epoch=epoch, roster=roster)
        for draft, (seq, at, _, epoch, roster) in zip(drafts, answers, strict=True)
    ]
    return Appended(entries, [answers[0][2]] if answers else [])


async def change_roster(
    connection: Connection, tenant: TenantId, channel: ChannelId, users: Sequence[UserId], role: Role | None
) -> Appended:
    """Number and store that users joined with a role, or left (None), without entries. The caller has locked the channel."""
    parameters = {
        "tenant": tenant,
        "channel": channel,
        "users": list(users),
        "roles": [role.value if role else None for _ in users],
    }
    answers: list[tuple[Any, ...]] = await (await connection.execute(queries.CHANGE_ROSTER, parameters)).fetchall()
    changes = [
        _change(channel, number, user, tenant=tenant, role=role, seq=head, at=at, epoch=epoch)
        for user, (number, head, at, _, epoch) in zip(users, answers, strict=True)
    ]
    return Appended(changes, [answers[0][3]] if answers else [])


async def delete_roster_changes(connection: Connection, seconds: float, limit: int) -> int:
    """Delete roster changes older than so many seconds; returns how many, at most `limit`."""
    cursor = await connection.execute(queries.DELETE_ROSTER_CHANGES, {"seconds": seconds, "limit": limit})
    return cursor.rowcount


async def roster_changes(connection: Connection, ranges: Sequence[Range]) -> list[Entry]:
    """The roster changes numbered in the ranges, range by range, as entries without a number of their own."""
    parameters = {
        "channels": [each.channel for each in ranges],
        "afters": [each.after for each in ranges],
        "throughs": [each.through for each in ranges],
    }
    rows: list[tuple[Any, ...]] = await (await connection.execute(queries.ROSTER_CHANGES, parameters)).fetchall()
    found = []
    for channel, number, tenant, user, role, seq, at, members, kind, name, history, epoch in rows:
        welcome = Welcome(ChannelKind(kind), name, seq if history == "joined" else 0) if role else None
        change = _change(channel, number, user, tenant=tenant, role=Role(role) if role else None, seq=seq, at=at, epoch=epoch)
        found.append(msgspec.structs.replace(change, members=members, welcome=welcome))
    return found


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


async def heads(connection: Connection, channels: Sequence[ChannelId]) -> tuple[str, dict[ChannelId, tuple[int, int]]]:
    """The store's epoch, and of each channel that exists the head and the number of the last roster change."""
    rows: list[tuple[Any, ...]] = await (await connection.execute(queries.HEADS, {"channels": list(channels)})).fetchall()
    return rows[0][0], {channel: (head, roster) for _, channel, head, roster in rows if channel}


async def heads_after(
    connection: Connection, channel: ChannelId, limit: int, tenants: frozenset[str] | None = None
) -> list[tuple[ChannelId, int]]:
    """The heads of the channels with an id above this one, in the order of their ids; with `tenants`, only of their channels."""
    parameters = {"after": channel, "limit": limit, "tenants": None if tenants is None else list(tenants)}
    query = queries.HEADS_AFTER if tenants is None else queries.HEADS_OF_TENANTS_AFTER
    rows: list[tuple[Any, ...]] = await (await connection.execute(query, parameters)).fetchall()
    return [(id_, head) for id_, head in rows]


async def head(connection: Connection, tenant: TenantId, channel: ChannelId) -> tuple[int, str, int] | None:
    """The head of a channel, the store's epoch, and the last roster change; None when the tenant has no such channel."""
    row: Any = await (await connection.execute(queries.HEAD, {"tenant": tenant, "channel": channel})).fetchone()
    return (row[0], row[1], row[2]) if row else None


async def positions(
    connection: Connection, caller: Caller, channels: Sequence[ChannelId]
) -> tuple[str, list[tuple[int, int, int] | None]]:
    """The store's epoch, and (head, floor, archived_to) of each channel, in one snapshot; None where the caller may not read."""
    parameters = {"tenant": caller.tenant, "user": caller.user, "channels": list(channels)}
    rows: list[tuple[Any, ...]] = await (await connection.execute(queries.POSITIONS, parameters)).fetchall()
    return rows[0][0] if rows else "", [None if row[1] is None else (row[1], row[2], row[3]) for row in rows]


class Stale(msgspec.Struct, frozen=True):
    """A page of rows of `unpublished`, and what they cover."""

    rows: list[int]
    entries: list[Range]
    roster: list[Range]


async def stale_unpublished(connection: Connection, older_than_seconds: float) -> Stale:
    """A page of rows older than this, locked until the transaction ends."""
    rows: list[tuple[Any, ...]] = await (
        await connection.execute(queries.STALE_UNPUBLISHED, {"seconds": older_than_seconds})
    ).fetchall()
    page = Stale([], [], [])
    room = _SWEPT
    for id_, channels, firsts, lasts, roster in rows:
        covered = [Range(channel, first - 1, last) for channel, first, last in zip(channels, firsts, lasts, strict=True)]
        room -= sum(each.through - each.after for each in covered)
        if page.rows and room < 0:
            break
        page.rows.append(id_)
        (page.roster if roster else page.entries).extend(covered)
    return page


async def delete_unpublished(connection: Connection, ids: Sequence[int]) -> None:
    """Delete rows of `unpublished` whose entries the bus has."""
    await connection.execute(queries.DELETE_UNPUBLISHED, {"ids": list(ids)})


async def count_unpublished(connection: Connection, older_than_seconds: float) -> int:
    """How many rows are older than this; at most 10,000 are counted."""
    row: Any = await (await connection.execute(queries.COUNT_UNPUBLISHED, {"seconds": older_than_seconds})).fetchone()
    count: int = row[0]
    return count


def _entry(row: tuple[Any, ...]) -> Entry:
    channel, seq, tenant, kind, actor, at, key, command, message, text, sealed, details, about, epoch, roster, members = row
    fields = _details(details) if details else NO_DETAILS
    return Entry(
        channel, seq, tenant, EntryKind(kind), actor, at, key, command, message, text, sealed, fields, about or 0, epoch, roster,
        members if kind in MEMBER_KINDS else 0,
    )  # fmt: skip


def _change(
    channel: ChannelId, number: int, user: UserId, *, tenant: TenantId, role: Role | None, seq: int, at: datetime, epoch: str
) -> Entry:
    """A roster change in the form of an entry: `roster` is its number and `seq` the head when it was made."""
    kind = EntryKind.MEMBER_JOINED if role else EntryKind.MEMBER_LEFT
    return Entry(channel, seq, tenant, kind, user, at, details=Details(user=user, role=role), epoch=epoch, roster=number)

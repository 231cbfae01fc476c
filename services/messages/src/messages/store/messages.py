"""Reads messages in their current state."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import psycopg

from chassis.errors import InvalidArgument
from chassis.postgres import Connection
from messages.message import NO_DETAILS, Caller, ChannelId, Details, Message, MessageId, Reaction, TenantId, UserId
from messages.queries import messages as queries

_OPERATORS = re.compile(r"-[-\s]*-")
"""A run of negations, each of which takes a level of PostgreSQL's stack."""
_details = msgspec.json.Decoder(Details).decode
_reactions = msgspec.json.Decoder(list[Reaction]).decode


async def page(
    connection: Connection, tenant: TenantId, channel: ChannelId, *, floor: int, after: int, before: int, limit: int
) -> list[Message]:
    """Messages between two exclusive bounds, newest first, as a member with this floor sees them."""
    parameters = {"tenant": tenant, "channel": channel, "floor": floor, "after": after, "before": before, "limit": limit}
    rows: list[tuple[Any, ...]] = await (await connection.execute(queries.LIST, parameters)).fetchall()
    return [from_row(row) for row in rows]


async def chosen(
    connection: Connection,
    tenant: TenantId,
    channel: ChannelId,
    *,
    floor: int,
    after: int,
    before: int,
    limit: int,
    thread: MessageId | None,
    pinned: bool,
) -> list[Message]:
    """As `page`, of a thread including its root, or of pinned messages."""
    bounds = {"tenant": tenant, "channel": channel, "floor": floor, "after": after, "before": before, "limit": limit}
    parameters = {**bounds, "thread": thread}
    query = queries.PINNED if pinned else queries.THREAD
    rows: list[tuple[Any, ...]] = await (await connection.execute(query, parameters)).fetchall()
    return [from_row(row) for row in rows]


async def search(
    connection: Connection,
    caller: Caller,
    query: str,
    *,
    channel: ChannelId | None,
    sender: UserId | None,
    before: MessageId | None,
    limit: int,
) -> list[Message]:
    """Messages that contain the words of `query` and that the caller may read, newest first."""
    parameters = {
        "tenant": caller.tenant,
        "user": caller.user,
        "query": _OPERATORS.sub("-", query),
        "channel": channel,
        "sender": sender,
        "before": before,
        "limit": limit,
    }
    try:
        rows: list[tuple[Any, ...]] = await (await connection.execute(queries.SEARCH, parameters)).fetchall()
    except (psycopg.DataError, psycopg.InternalError, psycopg.errors.ProgramLimitExceeded) as error:
        raise InvalidArgument("The query is not valid") from error  # too deep for PostgreSQL's parser of queries
    return [from_row(row) for row in rows]


async def is_hidden(connection: Connection, tenant: TenantId, channel: ChannelId, upload: str, *, floor: int) -> bool:
    """Whether the upload is hidden: messages carried it, but each was deleted or is numbered up to `floor`."""
    parameters = {"tenant": tenant, "channel": channel, "upload": upload, "floor": floor}
    row: Any = await (await connection.execute(queries.IS_HIDDEN, parameters)).fetchone()
    return bool(row[0])


def from_row(row: tuple[Any, ...]) -> Message:
    """A message from the columns of `queries.messages.MESSAGE`."""
    message, channel, seq, sender, text, sealed, at, edited_at, deleted, pinned, details, reactions = row
    return Message(
        message,
        channel,
        seq,
        sender,
        text,
        sealed,
        at,
        edited_at,
        deleted,
        pinned,
        _details(details) if details else NO_DETAILS,
        _reactions(reactions) if reactions else [],
    )

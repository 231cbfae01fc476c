"""Reads messages in their current state."""

from __future__ import annotations

from typing import Any

import msgspec

from chassis.pipeline import Statement
from chassis.postgres import Connection, Database
from messages.message import NO_DETAILS, Caller, ChannelId, Details, Message, MessageId, Reaction, TenantId
from messages.queries import messages as queries
from messages.search import Hit

_details = msgspec.json.Decoder(Details).decode
_reactions = msgspec.json.Decoder(list[Reaction]).decode
_PAGE = Statement(queries.LIST)
_NEWEST = MessageId("ffffffff-ffff-ffff-ffff-ffffffffffff")
"""Greater than every id of a message."""


async def page(
    database: Database, tenant: TenantId, channel: ChannelId, *, floor: int, after: int, before: int, limit: int
) -> list[Message]:
    """Messages between two exclusive bounds, newest first, as a member with this floor sees them."""
    bounds = {"floor": floor, "after": after, "before": before, "limit": limit}
    (rows,) = await database.reading([tenant], [_PAGE.query({"tenant": tenant, "channel": channel, **bounds})])
    return [from_row(row) for row in rows]


async def one(connection: Connection, tenant: TenantId, channel: ChannelId, message: MessageId, *, floor: int) -> Message | None:
    """A message as a member with this floor sees it; None if there is none for them."""
    parameters = {"tenant": tenant, "channel": channel, "message": message, "floor": floor}
    row: Any = await (await connection.execute(queries.ONE, parameters)).fetchone()
    return from_row(row) if row else None


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
    query = queries.THREAD
    if pinned:
        query = queries.PINNED_IN_THREAD if thread else queries.PINNED
    rows: list[tuple[Any, ...]] = await (await connection.execute(query, parameters)).fetchall()
    return [from_row(row) for row in rows]


async def mentions(connection: Connection, caller: Caller, before: MessageId | None, limit: int) -> list[Hit]:
    """Messages that mention the caller, newest first, including those that they may no longer read."""
    parameters = {"tenant": caller.tenant, "user": caller.user, "older": before or _NEWEST, "limit": limit}
    rows: list[tuple[Any, ...]] = await (await connection.execute(queries.MENTIONS, parameters)).fetchall()
    return [Hit(*row) for row in rows]


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

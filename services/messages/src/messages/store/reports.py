"""Reads and writes reports of messages."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from chassis.postgres import Connection
from messages.message import Caller, ChannelId, MembershipView, Message, MessageId, UserId
from messages.policy import Role
from messages.queries import reports as queries
from messages.store.messages import from_row

_HANDLERS = [Role.MODERATOR.value, Role.OWNER.value]
"""Roles that handle reports."""
_AROUND = 3
"""Messages of context on each side."""


class Report(msgspec.Struct, frozen=True):
    """An open report."""

    id: str
    channel: ChannelId
    message: MessageId
    seq: int
    sender: UserId
    text: str | None
    """The text when it was reported."""
    reporter: UserId
    reason: str
    at: datetime


async def count_open(connection: Connection, caller: Caller, channel: ChannelId, message: MessageId) -> int:
    """How many reports of the caller are open, without one about this message."""
    parameters = {"tenant": caller.tenant, "user": caller.user, "channel": channel, "message": message}
    row: Any = await (await connection.execute(queries.COUNT_OPEN, parameters)).fetchone()
    count: int = row[0]
    return count


async def report(
    connection: Connection, caller: Caller, channel: MembershipView, message: MessageId, reason: str
) -> tuple[str, bool] | None:
    """Report a message. Returns the report's id and whether it is new, or None when there is no such message."""
    parameters = {**_of(caller, channel), "message": message, "reporter": caller.user, "reason": reason}
    row: Any = await (await connection.execute(queries.REPORT, parameters)).fetchone()
    return (row[0], row[1]) if row else None


async def list_open(
    connection: Connection, caller: Caller, channel: MembershipView | None, after: str | None, limit: int
) -> list[Report]:
    """Open reports that the caller handles, oldest first: of a channel, or for an administrator (None) about moderators."""
    parameters = {**_of(caller, channel), "after": after, "limit": limit}
    query = queries.OPEN if channel else queries.OPEN_OF_TENANT
    rows: list[tuple[Any, ...]] = await (await connection.execute(query, parameters)).fetchall()
    return [Report(*row) for row in rows]


async def context(connection: Connection, caller: Caller, found: Report, floor: int, *, around: int = _AROUND) -> list[Message]:
    """The reported message and the messages around it in their current state, oldest first."""
    parameters = {"tenant": caller.tenant, "channel": found.channel, "floor": floor, "seq": found.seq, "around": around}
    rows: list[tuple[Any, ...]] = await (await connection.execute(queries.CONTEXT, parameters)).fetchall()
    return [from_row(row) for row in rows]


async def resolve(
    connection: Connection, caller: Caller, channel: MembershipView | None, wanted: str, resolution: str
) -> tuple[ChannelId, MessageId, UserId] | None:
    """Resolve a report that the caller handles (see `list_open`). Returns what it was about, or None when it is not open."""
    parameters = {**_of(caller, channel), "report": wanted, "resolution": resolution}
    row: Any = await (await connection.execute(queries.RESOLVE, parameters)).fetchone()
    return (row[0], row[1], row[2]) if row else None


async def exists(connection: Connection, caller: Caller, channel: MembershipView | None, wanted: str) -> bool:
    """Whether the caller handles such a report, open or not."""
    return await (await connection.execute(queries.EXISTS, {**_of(caller, channel), "report": wanted})).fetchone() is not None


def _of(caller: Caller, channel: MembershipView | None) -> dict[str, object]:
    return {
        "tenant": caller.tenant,
        "user": caller.user,
        "channel": channel.id if channel else None,
        "floor": channel.floor if channel else 0,
        "handlers": _HANDLERS,
    }

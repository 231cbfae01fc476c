"""Reads and writes reports of messages."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from chassis.postgres import Connection
from messages.message import Caller, MembershipView, Message, MessageId, TenantId, UserId
from messages.queries import reports as queries
from messages.store.messages import from_row

_AROUND = 3
"""Messages of context on each side."""


class Report(msgspec.Struct, frozen=True):
    """An open report."""

    id: str
    message: MessageId
    seq: int
    sender: UserId
    text: str | None
    """The text when it was reported."""
    reporter: UserId
    reason: str
    at: datetime


async def report(
    connection: Connection, caller: Caller, channel: MembershipView, message: MessageId, reason: str
) -> tuple[str, bool] | None:
    """Report a message. Returns the report's id and whether it is new, or None when there is no such message."""
    parameters = {**_of(caller.tenant, channel), "message": message, "reporter": caller.user, "reason": reason}
    row: Any = await (await connection.execute(queries.REPORT, parameters)).fetchone()
    return (row[0], row[1]) if row else None


async def list_open(
    connection: Connection, tenant: TenantId, channel: MembershipView, after: str | None, limit: int
) -> list[Report]:
    """Open reports, oldest first."""
    parameters = {**_of(tenant, channel), "after": after, "limit": limit}
    rows: list[tuple[Any, ...]] = await (await connection.execute(queries.OPEN, parameters)).fetchall()
    return [Report(*row) for row in rows]


async def context(connection: Connection, tenant: TenantId, channel: MembershipView, seq: int) -> list[Message]:
    """A message and the messages around it in their current state, oldest first."""
    parameters = {**_of(tenant, channel), "seq": seq, "around": _AROUND}
    rows: list[tuple[Any, ...]] = await (await connection.execute(queries.CONTEXT, parameters)).fetchall()
    return [from_row(row) for row in rows]


async def resolve(
    connection: Connection, tenant: TenantId, channel: MembershipView, wanted: str, resolution: str
) -> tuple[MessageId, UserId] | None:
    """Resolve a report. Returns its message and that message's author, or None when the report is not open."""
    parameters = {**_of(tenant, channel), "report": wanted, "resolution": resolution}
    row: Any = await (await connection.execute(queries.RESOLVE, parameters)).fetchone()
    return (row[0], row[1]) if row else None


async def exists(connection: Connection, tenant: TenantId, channel: MembershipView, wanted: str) -> bool:
    """Whether there is such a report, open or not."""
    return await (await connection.execute(queries.EXISTS, {**_of(tenant, channel), "report": wanted})).fetchone() is not None


def _of(tenant: TenantId, channel: MembershipView) -> dict[str, object]:
    return {"tenant": tenant, "channel": channel.id, "floor": channel.floor}

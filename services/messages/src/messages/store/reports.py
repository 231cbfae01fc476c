"""Messages that were shown to the moderators."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from chassis.postgres import Connection
from messages.message import Caller, Message, MessageId, Standing, TenantId, UserId
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
    """What was said when it was reported."""
    reporter: UserId
    reason: str
    at: datetime


async def report(
    connection: Connection, caller: Caller, channel: Standing, message: MessageId, reason: str
) -> tuple[str, bool] | None:
    """Show a message to the moderators: the report's id, and whether it is new; None where there is no such message."""
    parameters = {**_of(caller.tenant, channel), "message": message, "reporter": caller.user, "reason": reason}
    row: Any = await (await connection.execute(queries.REPORT, parameters)).fetchone()
    return (row[0], row[1]) if row else None


async def still_open(connection: Connection, tenant: TenantId, channel: Standing, after: str | None, limit: int) -> list[Report]:
    """Open reports, oldest first."""
    parameters = {**_of(tenant, channel), "after": after, "limit": limit}
    rows: list[tuple[Any, ...]] = await (await connection.execute(queries.OPEN, parameters)).fetchall()
    return [Report(*row) for row in rows]


async def context(connection: Connection, tenant: TenantId, channel: Standing, seq: int) -> list[Message]:
    """A message and its neighbours as they stand now, oldest first."""
    parameters = {**_of(tenant, channel), "seq": seq, "around": _AROUND}
    rows: list[tuple[Any, ...]] = await (await connection.execute(queries.CONTEXT, parameters)).fetchall()
    return [from_row(row) for row in rows]


async def resolve(
    connection: Connection, tenant: TenantId, channel: Standing, wanted: str, resolution: str
) -> tuple[MessageId, UserId] | None:
    """Close a report: its message and that one's author; None where it is not open."""
    parameters = {**_of(tenant, channel), "report": wanted, "resolution": resolution}
    row: Any = await (await connection.execute(queries.RESOLVE, parameters)).fetchone()
    return (row[0], row[1]) if row else None


async def exists(connection: Connection, tenant: TenantId, channel: Standing, wanted: str) -> bool:
    """Whether there is such a report, open or not."""
    return await (await connection.execute(queries.EXISTS, {**_of(tenant, channel), "report": wanted})).fetchone() is not None


def _of(tenant: TenantId, channel: Standing) -> dict[str, object]:
    return {"tenant": tenant, "channel": channel.id, "floor": channel.floor}

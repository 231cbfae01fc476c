"""Writes silences of members; reads and writes blocks between users."""

from __future__ import annotations

from typing import Any

import msgspec

from chassis.postgres import Connection
from messages.message import Caller, ChannelId, TenantId, User, UserId
from messages.queries import moderation as queries


class Silence(msgspec.Struct, frozen=True):
    """A silence of a member."""

    tenant: TenantId
    channel: ChannelId
    user: UserId
    moderator: UserId
    reason: str
    seconds: int


async def silence(connection: Connection, wanted: Silence) -> None:
    """Silence a member. Replaces a former silence of the same user."""
    await connection.execute(queries.SILENCE, msgspec.structs.asdict(wanted))


async def unsilence(connection: Connection, tenant: TenantId, channel: ChannelId, user: UserId) -> bool:
    """Lift a silence; returns whether one was in effect."""
    parameters = {"tenant": tenant, "channel": channel, "user": user}
    return await (await connection.execute(queries.UNSILENCE, parameters)).fetchone() is not None


async def block(connection: Connection, caller: Caller, user: UserId, *, blocked: bool) -> None:
    """Block or unblock a user's direct messages to the caller."""
    statement = queries.BLOCK if blocked else queries.UNBLOCK
    await connection.execute(statement, {"tenant": caller.tenant, "user": caller.user, "blocked": user})


async def blocked_by(connection: Connection, caller: Caller, after: str, limit: int) -> list[User]:
    """The users whom the caller has blocked, by user id."""
    parameters = {"tenant": caller.tenant, "user": caller.user, "after": after, "limit": limit}
    rows: list[tuple[Any, ...]] = await (await connection.execute(queries.BLOCKED, parameters)).fetchall()
    return [User(*row) for row in rows]


async def count_blocked(connection: Connection, caller: Caller) -> int:
    """How many users the caller has blocked."""
    row: Any = await (await connection.execute(queries.COUNT_BLOCKED, {"tenant": caller.tenant, "user": caller.user})).fetchone()
    count: int = row[0]
    return count

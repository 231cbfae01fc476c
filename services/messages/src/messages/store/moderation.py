"""Silences of members, and blocks between people."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from chassis.postgres import Connection
from messages.message import Caller, ChannelId, TenantId, User, UserId
from messages.queries import moderation as queries


class Silence(msgspec.Struct, frozen=True):
    """A user who shall not write in a channel for a while."""

    tenant: TenantId
    channel: ChannelId
    user: UserId
    moderator: UserId
    reason: str
    seconds: int


async def silence(connection: Connection, wanted: Silence) -> None:
    """Let a user not write; a former silence of the same user is replaced."""
    await connection.execute(queries.SILENCE, msgspec.structs.asdict(wanted))


async def unsilence(connection: Connection, tenant: TenantId, channel: ChannelId, user: UserId) -> bool:
    """Let a user write again; whether they could not."""
    parameters = {"tenant": tenant, "channel": channel, "user": user}
    return await (await connection.execute(queries.UNSILENCE, parameters)).fetchone() is not None


async def block(connection: Connection, caller: Caller, user: UserId, *, blocked: bool) -> None:
    """Keep a user's direct messages from the caller, or let them through again."""
    statement = queries.BLOCK if blocked else queries.UNBLOCK
    await connection.execute(statement, {"tenant": caller.tenant, "user": caller.user, "blocked": user})


async def blocked_by(connection: Connection, caller: Caller, after: str, limit: int) -> list[User]:
    """Whom the caller has blocked, by user id."""
    parameters = {"tenant": caller.tenant, "user": caller.user, "after": after, "limit": limit}
    rows: list[tuple[Any, ...]] = await (await connection.execute(queries.BLOCKED, parameters)).fetchall()
    return [User(*row) for row in rows]


async def refused_by(connection: Connection, caller: Caller, users: Sequence[UserId]) -> bool:
    """Whether any of `users` has blocked the caller."""
    parameters = {"tenant": caller.tenant, "blocked": caller.user, "users": list(users)}
    return await (await connection.execute(queries.REFUSED_BY, parameters)).fetchone() is not None

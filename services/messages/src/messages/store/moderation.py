"""Writes silences of members; reads and writes blocks between users."""

from __future__ import annotations

from collections.abc import Sequence
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


class Blocks(msgspec.Struct):
    """The blocks of one user."""

    blocks: list[UserId] = []
    blocked_by: list[UserId] = []


async def of_users(connection: Connection, users: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Blocks]:
    """The blocks of each (tenant, user) who has any, at most 1,001 in each direction."""
    parameters = {"tenants": [tenant for tenant, _ in users], "ids": [user for _, user in users]}
    rows: list[tuple[Any, ...]] = await (await connection.execute(queries.OF_USERS, parameters)).fetchall()
    found: dict[tuple[str, str], Blocks] = {}
    for tenant, user, other, blocked in rows:
        of_user = found.setdefault((tenant, user), Blocks())
        (of_user.blocked_by if blocked else of_user.blocks).append(other)
    return found

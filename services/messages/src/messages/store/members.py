"""Reads and writes members and bans. The caller has locked the channel for every change."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from chassis.postgres import Connection
from messages.message import ChannelId, Member, TenantId, UserId
from messages.policy import Role
from messages.queries import members as queries


async def page(connection: Connection, tenant: TenantId, channel: ChannelId, after: str, limit: int) -> list[Member]:
    """Members by user id, after `after`."""
    parameters = {"tenant": tenant, "channel": channel, "after": after, "limit": limit}
    rows: list[tuple[Any, ...]] = await (await connection.execute(queries.LIST, parameters)).fetchall()
    return [_member(row) for row in rows]


async def find(connection: Connection, tenant: TenantId, channel: ChannelId, users: Sequence[UserId]) -> dict[UserId, Member]:
    """Those of `users` who are members."""
    parameters = {"tenant": tenant, "channel": channel, "users": list(users)}
    rows: list[tuple[Any, ...]] = await (await connection.execute(queries.FIND, parameters)).fetchall()
    return {member.user: member for member in map(_member, rows)}


async def add(connection: Connection, tenant: TenantId, channel: ChannelId, joined: Sequence[tuple[UserId, Role, int]]) -> None:
    """Add members as (user, role, number of their member.joined entry)."""
    parameters = {
        "tenant": tenant,
        "channel": channel,
        "users": [user for user, _, _ in joined],
        "roles": [role.value for _, role, _ in joined],
        "seqs": [seq for _, _, seq in joined],
    }
    await connection.execute(queries.ADD, parameters)


async def set_role(connection: Connection, tenant: TenantId, channel: ChannelId, user: UserId, role: Role) -> None:
    """Change a member's role."""
    await connection.execute(queries.SET_ROLE, {"tenant": tenant, "channel": channel, "user": user, "role": role.value})


async def remove(connection: Connection, tenant: TenantId, channel: ChannelId, user: UserId) -> None:
    """Remove a member."""
    await connection.execute(queries.REMOVE, {"tenant": tenant, "channel": channel, "user": user})


async def banned(connection: Connection, channel: ChannelId, users: Sequence[UserId]) -> bool:
    """Whether any of `users` is banned at this moment."""
    parameters = {"channel": channel, "users": list(users)}
    return await (await connection.execute(queries.BANNED, parameters)).fetchone() is not None


class Ban(msgspec.Struct, frozen=True):
    """A ban of a user from a channel."""

    tenant: TenantId
    channel: ChannelId
    user: UserId
    moderator: UserId
    reason: str
    seconds: int
    """0: no end."""


async def ban(connection: Connection, wanted: Ban) -> None:
    """Ban a user. Replaces a former ban of the same user."""
    await connection.execute(queries.BAN, msgspec.structs.asdict(wanted))


async def unban(connection: Connection, tenant: TenantId, channel: ChannelId, user: UserId) -> bool:
    """Lift a ban; returns whether there was one."""
    parameters = {"tenant": tenant, "channel": channel, "user": user}
    return await (await connection.execute(queries.UNBAN, parameters)).fetchone() is not None


def _member(row: tuple[Any, ...]) -> Member:
    user, name, role = row
    return Member(user, name, Role(role))

"""Reads and writes members and bans. The caller has locked the channel for every change."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from chassis.postgres import Connection
from messages.message import Caller, ChannelId, Invitation, Member, TenantId, UserId
from messages.policy import Role
from messages.queries import members as queries
from messages.store.sorting import LAST_CHARACTER

_ROLES = [role.value for role in (Role.OWNER, Role.MODERATOR, Role.MEMBER, Role.READER)]
"""In the order of the list."""


class Place(msgspec.Struct, frozen=True, array_like=True):
    """A member's place in the list."""

    role: Role
    sort_name: str
    user: UserId


async def page(
    connection: Connection, tenant: TenantId, channel: ChannelId, after: Place | None, limit: int, *, prefix: str = ""
) -> list[tuple[Place, Member]]:
    """Members by role, name and id, after a place; with `prefix`, in lower case, those whose name begins with it."""
    parameters = {
        "tenant": tenant,
        "channel": channel,
        "roles": _ROLES[_ROLES.index(after.role) :] if after else _ROLES,
        "after_role": after.role if after else None,
        "after_name": after.sort_name if after else "",
        "after_user": after.user if after else "",
        "prefix": prefix,
        "last": LAST_CHARACTER,
        "limit": limit,
    }
    rows: list[tuple[Any, ...]] = await (await connection.execute(queries.PAGE, parameters)).fetchall()
    return [(Place(Role(row[2]), row[3], row[0]), _member(row[:3])) for row in rows]


async def find(connection: Connection, tenant: TenantId, channel: ChannelId, users: Sequence[UserId]) -> dict[UserId, Member]:
    """Those of `users` who are members."""
    parameters = {"tenant": tenant, "channel": channel, "users": list(users)}
    rows: list[tuple[Any, ...]] = await (await connection.execute(queries.FIND, parameters)).fetchall()
    return {member.user: member for member in map(_member, rows)}


async def add(connection: Connection, actor: Caller, channel: ChannelId, joined: Sequence[tuple[UserId, Role, int, int]]) -> None:
    """Add members as (user, role, number of their first entry, read position); `actor` adds them, or joins."""
    parameters = {
        "tenant": actor.tenant,
        "actor": actor.user,
        "channel": channel,
        "users": [user for user, _, _, _ in joined],
        "roles": [role.value for _, role, _, _ in joined],
        "seqs": [seq for _, _, seq, _ in joined],
        "reads": [read for _, _, _, read in joined],
    }
    await connection.execute(queries.ADD, parameters)


async def set_role(connection: Connection, tenant: TenantId, channel: ChannelId, user: UserId, role: Role) -> None:
    """Change a member's role."""
    await connection.execute(queries.SET_ROLE, {"tenant": tenant, "channel": channel, "user": user, "role": role.value})


async def remove(connection: Connection, tenant: TenantId, channel: ChannelId, user: UserId) -> None:
    """Remove a member."""
    await connection.execute(queries.REMOVE, {"tenant": tenant, "channel": channel, "user": user})


async def begin_counting_readers(connection: Connection, tenant: TenantId, channel: ChannelId) -> None:
    """The channel has just become large: count who has read its newest message so far."""
    await connection.execute(queries.BEGIN_COUNTING_READERS, {"tenant": tenant, "channel": channel})


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


class Candidate(msgspec.Struct, frozen=True):
    """A user whom another user wants to put into a channel."""

    user: UserId
    refuses: bool
    """The user has blocked the other one."""
    channels: int
    unasked: int
    """Channels into which others put the user, who has not posted there."""
    departed: bool
    """The user left this channel."""
    invited: bool | None
    """Whether the user declined an invitation to this channel; None without one."""
    invitations: int
    stranger: bool
    """The two share no channel to which this user agreed. False in tenants that do not ask for consent."""


async def candidates(
    connection: Connection, actor: Caller, channel: ChannelId | None, users: Sequence[UserId], *, consent: bool
) -> list[Candidate]:
    """What decides whether `actor` may put each of `users` into a channel; None is a new one."""
    parameters = {"tenant": actor.tenant, "actor": actor.user, "channel": channel, "users": list(users), "consent": consent}
    rows: list[tuple[Any, ...]] = await (await connection.execute(queries.CANDIDATES, parameters)).fetchall()
    return [Candidate(*row) for row in rows]


async def count_added(connection: Connection, actor: Caller, added: int) -> tuple[int, float]:
    """Count members whom `actor` adds. Returns how many in the present hour, and the seconds until it ends."""
    parameters = {"tenant": actor.tenant, "user": actor.user, "added": added}
    row: Any = await (await connection.execute(queries.COUNT_ADDED, parameters)).fetchone()
    return row[0], row[1]


async def invite(
    connection: Connection, actor: Caller, channel: ChannelId, users: Sequence[UserId], role: Role
) -> dict[UserId, Invitation]:
    """Invite users; returns the new invitations. An earlier invitation stays as it is."""
    if not users:
        return {}
    parameters = {"tenant": actor.tenant, "actor": actor.user, "channel": channel, "users": list(users), "role": role.value}
    rows: list[tuple[Any, ...]] = await (await connection.execute(queries.INVITE, parameters)).fetchall()
    return {user: Invitation(*invitation) for user, *invitation in rows}


async def invitation(connection: Connection, caller: Caller, channel: ChannelId) -> Role | None:
    """The role to which the caller is invited, also after declining; None without an invitation."""
    row: Any = await (await connection.execute(queries.INVITATION, _of(caller, channel))).fetchone()
    return Role(row[0]) if row else None


async def decline(connection: Connection, caller: Caller, channel: ChannelId) -> bool:
    """Decline an invitation; returns whether there is one."""
    return await (await connection.execute(queries.DECLINE, _of(caller, channel))).fetchone() is not None


async def invitations(connection: Connection, caller: Caller, after: str | None, limit: int) -> list[Invitation]:
    """The caller's unanswered invitations, by channel id."""
    parameters = {"tenant": caller.tenant, "user": caller.user, "after": after, "limit": limit}
    rows: list[tuple[Any, ...]] = await (await connection.execute(queries.INVITATIONS, parameters)).fetchall()
    return [Invitation(*row) for row in rows]


async def depart(connection: Connection, caller: Caller, channel: ChannelId) -> None:
    """Remember that the caller left by themselves."""
    await connection.execute(queries.DEPART, _of(caller, channel))


async def speech(connection: Connection, caller: Caller, channel: ChannelId) -> tuple[bool, float]:
    """Whether the member is silenced, and the seconds until slow mode permits their next words."""
    row: Any = await (await connection.execute(queries.SPEECH, _of(caller, channel))).fetchone()
    return (row[0], row[1] or 0.0) if row else (True, 0.0)


async def spoke(connection: Connection, caller: Caller, channel: ChannelId) -> None:
    """Slow mode counts from now on for the member's next words."""
    await connection.execute(queries.SPOKE, _of(caller, channel))


def _of(caller: Caller, channel: ChannelId) -> dict[str, object]:
    return {"tenant": caller.tenant, "user": caller.user, "channel": channel}


def _member(row: tuple[Any, ...]) -> Member:
    user, name, role = row
    return Member(user, name, Role(role))

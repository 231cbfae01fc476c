"""Channels, and how a user stands to them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from chassis.postgres import Connection
from messages import policy
from messages.message import Caller, ChannelId, Standing, TenantId, User, UserId, View
from messages.policy import ChannelKind, Role
from messages.queries import channels as queries
from messages.store.messages import from_row

_user = msgspec.json.Decoder(User).decode
_STANDING_COLUMNS = 12


async def standing(connection: Connection, caller: Caller, channel: ChannelId) -> Standing | None:
    """How the caller stands to a channel of their tenant; None when there is none."""
    row: Any = await (await connection.execute(queries.STANDING, _of(caller, channel))).fetchone()
    return _standing(row) if row else None


async def view(connection: Connection, caller: Caller, channel: ChannelId) -> View | None:
    """A channel of the caller's tenant with all that lists show; None when there is none."""
    row: Any = await (await connection.execute(queries.VIEW, _of(caller, channel))).fetchone()
    return _view(row) if row else None


async def list_own(connection: Connection, caller: Caller) -> list[View]:
    """The caller's channels, most recently active first."""
    parameters = {"tenant": caller.tenant, "user": caller.user}
    rows: list[tuple[Any, ...]] = await (await connection.execute(queries.LIST_OWN, parameters)).fetchall()
    return [_view(row) for row in rows]


async def list_joinable(connection: Connection, caller: Caller) -> list[View]:
    """Channels that the caller could join, at most 1,000, most recently active first."""
    parameters = {"tenant": caller.tenant, "user": caller.user, "joinable": [kind.value for kind in policy.JOINABLE]}
    rows: list[tuple[Any, ...]] = await (await connection.execute(queries.LIST_JOINABLE, parameters)).fetchall()
    return [_view(row) for row in rows]


async def of_users(connection: Connection, users: Sequence[tuple[str, str]]) -> dict[tuple[str, str], list[Standing]]:
    """The channels of each (tenant, user) who has any."""
    parameters = {"tenants": [tenant for tenant, _ in users], "ids": [user for _, user in users]}
    rows: list[tuple[Any, ...]] = await (await connection.execute(queries.OF_USERS, parameters)).fetchall()
    found: dict[tuple[str, str], list[Standing]] = {}
    for tenant, user, *columns in rows:
        found.setdefault((tenant, user), []).append(_standing(columns))
    return found


async def create(
    connection: Connection, tenant: TenantId, kind: ChannelKind, name: str, history: str, direct_key: str | None
) -> ChannelId | None:
    """Make a channel; None when the two people of `direct_key` have theirs already (see `find_direct`)."""
    parameters = {"tenant": tenant, "kind": kind.value, "name": name, "history": history, "direct_key": direct_key}
    row: Any = await (await connection.execute(queries.CREATE, parameters)).fetchone()
    return ChannelId(row[0]) if row else None


async def find_direct(connection: Connection, tenant: TenantId, direct_key: str) -> ChannelId | None:
    """The channel of two people."""
    row: Any = await (await connection.execute(queries.DIRECT, {"tenant": tenant, "direct_key": direct_key})).fetchone()
    return ChannelId(row[0]) if row else None


async def update(
    connection: Connection, tenant: TenantId, channel: ChannelId, name: str, topic: str, slow_mode_seconds: int
) -> None:
    """Change a channel that the caller has locked."""
    parameters = {
        "tenant": tenant,
        "channel": channel,
        "name": name,
        "topic": topic,
        "slow_mode_seconds": slow_mode_seconds,
    }
    await connection.execute(queries.UPDATE, parameters)


async def mute(connection: Connection, caller: Caller, channel: ChannelId, *, muted: bool) -> None:
    """Set the caller's own switch."""
    await connection.execute(queries.MUTE, {**_of(caller, channel), "muted": muted})


def direct_key(first: UserId, second: UserId) -> str:
    """What two people's channel is found by, whoever asks."""
    return msgspec.json.encode(sorted([first, second])).decode()


def _of(caller: Caller, channel: ChannelId) -> dict[str, object]:
    return {"tenant": caller.tenant, "user": caller.user, "channel": channel}


def _standing(columns: Sequence[Any]) -> Standing:
    channel, kind, name, topic, pace, history, head, role, joined, read, muted, *banned = columns
    return Standing(
        channel,
        ChannelKind(kind),
        name,
        topic,
        pace,
        history,
        head,
        Role(role) if role else None,
        joined or 0,
        read or 0,
        bool(muted),
        bool(banned and banned[0]),
    )


def _view(row: tuple[Any, ...]) -> View:
    unread, peer, *message = row[_STANDING_COLUMNS:]
    return View(
        _standing(row[:_STANDING_COLUMNS]),
        unread,
        _user(peer) if peer else None,
        from_row(tuple(message)) if message[0] else None,
    )

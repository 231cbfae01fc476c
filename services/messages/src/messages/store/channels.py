"""Channels, and how a user stands to them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from chassis.postgres import Connection
from messages import policy
from messages.message import Caller, ChannelId, Details, Standing, TenantId, User, UserId, View
from messages.policy import ChannelKind, Role
from messages.queries import channels as queries
from messages.store.messages import from_row

_user = msgspec.json.Decoder(User).decode
_STANDING_COLUMNS = 12


class NewChannel(msgspec.Struct, frozen=True):
    """A channel to be made."""

    tenant: TenantId
    kind: ChannelKind
    name: str
    history: str
    direct_key: str | None
    """What two people's channel is found by; None for any other kind."""


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


async def create(connection: Connection, new: NewChannel) -> ChannelId | None:
    """Make a channel; None when the two people of its `direct_key` have theirs already (see `find_direct`)."""
    row: Any = await (await connection.execute(queries.CREATE, msgspec.structs.asdict(new))).fetchone()
    return ChannelId(row[0]) if row else None


async def find_direct(connection: Connection, wanted: NewChannel) -> ChannelId | None:
    """The channel that the two people of `direct_key` have."""
    row: Any = await (await connection.execute(queries.DIRECT, msgspec.structs.asdict(wanted))).fetchone()
    return ChannelId(row[0]) if row else None


async def update(connection: Connection, tenant: TenantId, channel: ChannelId, wanted: Details) -> None:
    """Give a channel, which the caller has locked, the name, topic and pace of `wanted`."""
    parameters = {
        "tenant": tenant,
        "channel": channel,
        "name": wanted.name,
        "topic": wanted.topic,
        "slow_mode_seconds": wanted.slow_mode_seconds,
    }
    await connection.execute(queries.UPDATE, parameters)


async def lock(connection: Connection, channel: ChannelId) -> None:
    """Lock a channel, if it exists, until the transaction ends."""
    await connection.execute(queries.LOCK, {"channel": channel})


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

"""Reads and writes channels, as one user sees them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from chassis.pipeline import Query, Rows, Statement
from chassis.postgres import Connection
from messages import policy
from messages.message import Caller, ChannelId, ChannelListing, Details, MembershipView, TenantId, User, UserId
from messages.policy import ChannelKind, Role
from messages.queries import channels as queries
from messages.store.messages import from_row

_user = msgspec.json.Decoder(User).decode
LISTED = 200
"""Channels in `hello`."""
_MEMBERSHIP_COLUMNS = 15


class NewChannel(msgspec.Struct, frozen=True):
    """A channel to be created."""

    tenant: TenantId
    kind: ChannelKind
    name: str
    history: str
    direct_key: str | None
    """Identifies the pair of users of a direct channel; None for other kinds."""


async def membership(connection: Connection, caller: Caller, channel: ChannelId) -> MembershipView | None:
    """A channel of the caller's tenant, with the caller's membership; None when it does not exist."""
    row: Any = await (await connection.execute(queries.MEMBERSHIP, _of(caller, channel))).fetchone()
    return _membership(row) if row else None


_MEMBERSHIP_STATEMENT = Statement(queries.MEMBERSHIP)
_OF_USERS = Statement(queries.OF_USERS)
_LIST_STATEMENTS = {True: Statement(queries.LIST_JOINABLE), False: Statement(queries.LIST_OWN)}
"""By `joinable`."""


def membership_query(caller: Caller, channel: ChannelId) -> Query:
    """The statement of which `membership_from` reads the rows."""
    return _MEMBERSHIP_STATEMENT.query(_of(caller, channel))


def membership_from(rows: Rows) -> MembershipView | None:
    """As `membership`."""
    return _membership(rows[0]) if rows else None


async def listing(connection: Connection, caller: Caller, channel: ChannelId) -> ChannelListing | None:
    """A channel of the caller's tenant as channel lists show it; None when it does not exist."""
    row: Any = await (await connection.execute(queries.VIEW, _of(caller, channel))).fetchone()
    return _listing(row) if row else None


Position = tuple[str, str]
"""Of a channel in a list: when it was last active, and its id."""


def page_query(caller: Caller, after: Position | None, limit: int, *, joinable: bool, query: str = "") -> Query:
    """The caller's channels, or those that they could join, most recently active first, after a position.

    With `query`, only those in whose name it occurs, or in the other user's name or id of a direct channel.
    """
    parameters = {
        "tenant": caller.tenant,
        "user": caller.user,
        "joinable": [kind.value for kind in policy.JOINABLE],
        "pattern": f"%{_escaped(query.lower())}%" if query else None,
        "active": after[0] if after else None,
        "after": after[1] if after else None,
        "limit": limit,
    }
    return _LIST_STATEMENTS[joinable].query(parameters)


def page_from(rows: Rows) -> list[tuple[Position, ChannelListing]]:
    """The channels of `page_query`, each with its position."""
    return [((active, row[0]), _listing(tuple(row))) for active, *row in rows]


async def counts(connection: Connection, users: Sequence[tuple[str, str]]) -> list[int]:
    """How many channels each (tenant, user) has, in order."""
    parameters = {"tenants": [tenant for tenant, _ in users], "ids": [user for _, user in users]}
    rows: list[tuple[Any, ...]] = await (await connection.execute(queries.COUNT_OF_USERS, parameters)).fetchall()
    return [row[0] for row in rows]


class Opened(msgspec.Struct, frozen=True):
    """What a session needs of a user's channels and blocks."""

    memberships: str
    """JSON: [[id, head, floor, roster, members], …] of all channels; empty without any."""
    listed: str
    """JSON: the channels of `hello`; empty without any."""
    more: bool
    """There are more channels than are listed."""
    blocks: list[UserId]
    """At most 1,001, as the next one."""
    blocked_by: list[UserId]


def of_users_query(users: Sequence[tuple[str, str]], listed: int = LISTED) -> Query:
    """What a session needs of each (tenant, user), in order; at least one is requested. `opened` reads the rows.

    Each row begins with the store's epoch, and whether it is the first one.
    """
    return _OF_USERS.query({"tenants": [tenant for tenant, _ in users], "ids": [user for _, user in users], "listed": listed})


def opened(rows: Rows) -> list[Opened]:
    """What `of_users_query` found."""
    return [Opened(memberships or "", listed or "", more, *blocks) for _, _, more, memberships, listed, *blocks in rows]


async def create(connection: Connection, new: NewChannel) -> ChannelId | None:
    """Create a channel; None when the two users of its `direct_key` have one already (see `find_direct`)."""
    row: Any = await (await connection.execute(queries.CREATE, msgspec.structs.asdict(new))).fetchone()
    return ChannelId(row[0]) if row else None


async def find_direct(connection: Connection, wanted: NewChannel) -> ChannelId | None:
    """The channel of the two users of `direct_key`."""
    row: Any = await (await connection.execute(queries.DIRECT, msgspec.structs.asdict(wanted))).fetchone()
    return ChannelId(row[0]) if row else None


async def update(connection: Connection, tenant: TenantId, channel: ChannelId, wanted: Details) -> None:
    """Set name, topic and slow mode of a channel that the caller has locked."""
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
    """Mute or unmute a channel for the caller."""
    await connection.execute(queries.MUTE, {**_of(caller, channel), "muted": muted})


def direct_key(first: UserId, second: UserId) -> str:
    """The `direct_key` of two users, the same for both."""
    return msgspec.json.encode(sorted([first, second])).decode()


def _of(caller: Caller, channel: ChannelId) -> dict[str, str]:
    return {"tenant": caller.tenant, "user": caller.user, "channel": channel}


def _membership(columns: Sequence[Any]) -> MembershipView:
    (
        channel, kind, name, topic, slow_mode_seconds, history, head, archived_to, role, joined, read, muted, members, roster,
        *banned,
    ) = columns  # fmt: skip
    return MembershipView(
        channel,
        ChannelKind(kind),
        name,
        topic,
        slow_mode_seconds,
        history,
        head,
        archived_to,
        Role(role) if role else None,
        joined or 0,
        read or 0,
        bool(muted),
        members,
        roster,
        bool(banned and banned[0]),
    )


def _listing(row: tuple[Any, ...]) -> ChannelListing:
    unread, peer, *message = row[_MEMBERSHIP_COLUMNS:]
    return ChannelListing(
        _membership(row[:_MEMBERSHIP_COLUMNS]),
        unread,
        _user(peer) if peer else None,
        from_row(tuple(message)) if message[0] else None,
    )


def _escaped(pattern: str) -> str:
    """The text as a pattern of LIKE that matches nothing else."""
    return pattern.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")

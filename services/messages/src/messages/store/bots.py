"""Reads and writes bots, their tokens, and incoming webhooks."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from chassis import bots as forms
from chassis.postgres import Connection
from messages.message import Caller, ChannelId, TenantId, UserId
from messages.queries import bots as queries

BOTS = 1_000
"""Of a tenant, those of incoming webhooks included."""
HOOKS = 20
"""Of a channel."""
TOKENS = 20
"""Of a bot, those that have not ended."""


class Bot(msgspec.Struct, frozen=True):
    """A user that is a program."""

    id: UserId
    name: str
    disabled: bool
    channel: ChannelId | None
    """Of an incoming webhook."""
    creator: UserId
    created_at: datetime


class Token(msgspec.Struct, frozen=True):
    """A token that has not ended, without its secret."""

    id: str
    name: str
    scopes: list[str]
    creator: UserId
    created_at: datetime
    expires_at: datetime | None
    used_on: str | None
    """The day in UTC, as in 2026-11-29."""


class Hook(msgspec.Struct, frozen=True):
    """An incoming webhook of a channel."""

    id: UserId
    """Of its bot."""
    name: str
    disabled: bool
    creator: UserId
    created_at: datetime
    used_on: str | None
    removed: bool = False


class NewToken(msgspec.Struct, frozen=True):
    """A token, or the address of a webhook, that is being made."""

    name: str
    digest: bytes
    scopes: Sequence[str] = ()
    seconds: int = 0
    """0: no end."""


class Identified(msgspec.Struct, frozen=True):
    """What a token or address stands for."""

    bot: UserId
    token: str
    issued_at: float
    expires_at: float
    """Unix seconds, both; infinite without an end."""
    scopes: list[str]
    channel: ChannelId | None
    """Of a webhook."""
    disabled: bool


async def create(connection: Connection, creator: Caller, name: str, channel: ChannelId | None = None) -> UserId | None:
    """Create a bot, for an incoming webhook if a channel is given. None when there are too many."""
    await lock(connection, creator.tenant)
    row: Any = await (await connection.execute(queries.COUNT, {"tenant": creator.tenant, "channel": channel})).fetchone()
    if row[0] >= BOTS or row[1] >= HOOKS:
        return None
    bot = UserId(forms.new_id())
    parameters = {"tenant": creator.tenant, "bot": bot, "name": name, "channel": channel, "creator": creator.user}
    await connection.execute(queries.CREATE, parameters)
    return bot


async def page(connection: Connection, tenant: TenantId, after: str, limit: int) -> list[Bot]:
    """Bots by id."""
    parameters = {"tenant": tenant, "after": after, "limit": limit}
    rows: list[tuple[Any, ...]] = await (await connection.execute(queries.LIST, parameters)).fetchall()
    return [Bot(*row) for row in rows]


async def find(connection: Connection, tenant: TenantId, bot: UserId) -> Bot | None:
    """One bot; None when there is none with this id."""
    row: Any = await (await connection.execute(queries.FIND, _of(tenant, bot))).fetchone()
    return Bot(*row) if row else None


async def rename(connection: Connection, tenant: TenantId, bot: UserId, name: str) -> None:
    """Rename a bot."""
    await connection.execute(queries.RENAME, {**_of(tenant, bot), "name": name})


async def create_token(connection: Connection, creator: Caller, bot: UserId, new: NewToken) -> Token:
    """Create a token, which is never older than the bot's last revocation."""
    own = _of(creator.tenant, bot)
    await connection.execute(queries.DELETE_OLD_TOKENS, own)
    parameters = {**own, **msgspec.structs.asdict(new), "scopes": list(new.scopes), "creator": creator.user}
    row: Any = await (await connection.execute(queries.CREATE_TOKEN, parameters)).fetchone()
    return Token(*row)


async def tokens(connection: Connection, tenant: TenantId, bot: UserId) -> list[Token]:
    """The bot's tokens that have not ended, oldest first."""
    rows: list[tuple[Any, ...]] = await (await connection.execute(queries.TOKENS, _of(tenant, bot))).fetchall()
    return [Token(*row) for row in rows]


async def revoke_token(connection: Connection, tenant: TenantId, bot: UserId, token: str) -> list[str]:
    """End a token. Returns its id, also when it had been revoked already; nothing when there is none."""
    return await _ids(connection, queries.REVOKE_TOKEN, {**_of(tenant, bot), "token": token})


async def revoke_tokens(connection: Connection, tenant: TenantId, bot: UserId) -> list[str]:
    """End all tokens of a bot. Returns their ids, with those that ended a moment ago."""
    return await _ids(connection, queries.REVOKE_TOKENS, _of(tenant, bot))


async def identify(connection: Connection, tenant: TenantId, digest: bytes) -> Identified | None:
    """What a digest stands for; None for one that is unknown or has ended."""
    row: Any = await (await connection.execute(queries.IDENTIFY, {"tenant": tenant, "digest": digest})).fetchone()
    return Identified(*row) if row else None


async def hooks(connection: Connection, tenant: TenantId, channel: ChannelId) -> list[Hook]:
    """The channel's incoming webhooks, oldest first."""
    rows: list[tuple[Any, ...]] = await (
        await connection.execute(queries.HOOKS, {"tenant": tenant, "channel": channel})
    ).fetchall()
    return [Hook(*row) for row in rows]


async def hook(connection: Connection, tenant: TenantId, channel: ChannelId, bot: UserId) -> Hook | None:
    """One of the channel's webhooks, removed or not; None when there is none with this id."""
    row: Any = await (await connection.execute(queries.HOOK, {**_of(tenant, bot), "channel": channel})).fetchone()
    return Hook(*row) if row else None


async def remove(connection: Connection, tenant: TenantId, bot: UserId) -> None:
    """Remove a bot from every list, and end its tokens. The caller ends its access."""
    await connection.execute(queries.REMOVE, _of(tenant, bot))
    await revoke_tokens(connection, tenant, bot)


async def lock(connection: Connection, tenant: TenantId) -> None:
    """Wait for other transactions that create bots or tokens of the tenant, so that limits hold."""
    await connection.execute(queries.LOCK, {"tenant": tenant})


async def _ids(connection: Connection, query: str, parameters: dict[str, object]) -> list[str]:
    rows: list[tuple[Any, ...]] = await (await connection.execute(query, parameters)).fetchall()
    return [row[0] for row in rows]


def _of(tenant: TenantId, bot: UserId) -> dict[str, object]:
    return {"tenant": tenant, "bot": bot}

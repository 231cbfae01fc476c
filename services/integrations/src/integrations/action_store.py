"""Typed functions over `queries`, for the endpoints of actions. The caller owns connection and transaction."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from chassis.errors import Conflict, NotFound
from chassis.postgres import Connection
from integrations import queries


class ActionEndpoint(msgspec.Struct, frozen=True):
    """Where the buttons and options in the messages of a bot are answered."""

    id: str
    tenant: str
    bot: str
    url: str
    created_by: str
    created_at: datetime


async def count(connection: Connection, tenant: str) -> int:
    """How many endpoints a tenant has."""
    row: Any = await (await connection.execute(queries.COUNT_ACTION_ENDPOINTS, {"tenant": tenant})).fetchone()
    found: int = row[0]
    return found


async def create(connection: Connection, tenant: str, user: str, bot: str, *, url: str, secret: bytes) -> ActionEndpoint:
    """A new endpoint; `secret` is encrypted. Raises `Conflict` if the bot has one."""
    parameters = {"tenant": tenant, "user": user, "bot": bot, "url": url, "secret": secret}
    row: Any = await (await connection.execute(queries.CREATE_ACTION_ENDPOINT, parameters)).fetchone()
    if row is None:
        raise Conflict("The bot has an endpoint")
    return ActionEndpoint(*row)


async def listed(connection: Connection, tenant: str) -> list[ActionEndpoint]:
    """All endpoints of a tenant, by bot."""
    rows: list[Any] = await (await connection.execute(queries.LIST_ACTION_ENDPOINTS, {"tenant": tenant})).fetchall()
    return [ActionEndpoint(*row) for row in rows]


async def get(connection: Connection, tenant: str, bot: str) -> tuple[str, bytes]:
    """The URL and the encrypted secret of a bot's endpoint. Raises `NotFound`."""
    row: Any = await (await connection.execute(queries.GET_ACTION_ENDPOINT, {"tenant": tenant, "bot": bot})).fetchone()
    if row is None:
        raise NotFound
    url, secret = row
    return url, secret


async def delete(connection: Connection, tenant: str, endpoint: str) -> None:
    """Delete an endpoint. Raises `NotFound`."""
    if (await connection.execute(queries.DELETE_ACTION_ENDPOINT, {"tenant": tenant, "endpoint": endpoint})).rowcount == 0:
        raise NotFound

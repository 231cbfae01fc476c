"""Typed functions over `queries`, for slash commands and later answers. The caller owns connection and transaction."""

from __future__ import annotations

from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from chassis.errors import Conflict, NotFound
from chassis.postgres import Connection
from integrations import queries

ANSWER_SECONDS = 1_800.0
"""How long a command or an action may be answered later."""
ANSWERS = 5
"""How often."""


class Place(NamedTuple):
    """Where an endpoint may answer."""

    channel: str
    bot: str
    """Posts the answer."""
    message: str = ""
    """The message that an answer may change; empty for a command."""


class NewCommand(msgspec.Struct, frozen=True):
    """What an administrator decides about a command."""

    name: str
    description: str
    hint: str
    url: str
    bot: str


class Command(msgspec.Struct, frozen=True):
    """A slash command."""

    id: str
    tenant: str
    name: str
    description: str
    hint: str
    url: str
    bot: str
    created_by: str
    created_at: datetime


async def count(connection: Connection, tenant: str) -> int:
    """How many commands a tenant has."""
    row: Any = await (await connection.execute(queries.COUNT_COMMANDS, {"tenant": tenant})).fetchone()
    found: int = row[0]
    return found


async def create(connection: Connection, tenant: str, user: str, new: NewCommand, secret: bytes) -> Command:
    """A new command; `secret` is encrypted. Raises `Conflict` if the tenant has one of this name."""
    parameters = {"tenant": tenant, "user": user, "secret": secret, **msgspec.structs.asdict(new)}
    row: Any = await (await connection.execute(queries.CREATE_COMMAND, parameters)).fetchone()
    if row is None:
        raise Conflict("There is a command of this name")
    return Command(*row)


async def listed(connection: Connection, tenant: str) -> list[Command]:
    """All commands of a tenant, by name."""
    rows: list[Any] = await (await connection.execute(queries.LIST_COMMANDS, {"tenant": tenant})).fetchall()
    return [Command(*row) for row in rows]


async def get(connection: Connection, tenant: str, name: str) -> tuple[Command, bytes]:
    """A command and its encrypted secret. Raises `NotFound`."""
    row: Any = await (await connection.execute(queries.GET_COMMAND, {"tenant": tenant, "name": name})).fetchone()
    if row is None:
        raise NotFound
    *command, secret = row
    return Command(*command), secret


async def delete(connection: Connection, tenant: str, command: str) -> None:
    """Delete a command. Raises `NotFound`."""
    if (await connection.execute(queries.DELETE_COMMAND, {"tenant": tenant, "command": command})).rowcount == 0:
        raise NotFound


async def invoke(connection: Connection, tenant: str, place: Place, token: bytes) -> None:
    """Let the holder of a token, given by its digest, answer later."""
    await connection.execute(queries.INVOKE, {"token": token, "tenant": tenant, "seconds": ANSWER_SECONDS, **place._asdict()})


async def take_answer(connection: Connection, tenant: str, token: bytes) -> Place:
    """Use up one answer; returns where it goes. Raises `NotFound` for an unknown token, and after the last answer."""
    row: Any = await (await connection.execute(queries.ANSWER, {"token": token, "tenant": tenant, "most": ANSWERS})).fetchone()
    if row is None:
        raise NotFound
    return Place(*row)

"""Erases users: their name, what they wrote, and their id in every table. Numbers, seals and other people's messages stay.

A request ends the user's access and hides their name at once. `erase` does the rest, which reads the whole log for each user. It
may be interrupted at any point and run again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import structlog

from chassis.postgres import EVERY_TENANT, Connection, Database
from messages.message import Caller, ChannelId, Details, EntryKind, TenantId, UserId
from messages.queries import erasure as queries
from messages.store import channels, log, members, search

logger = structlog.get_logger()
NAME = "Deleted user"
_BLOCKS = 256
"""Blocks of a table in one transaction: 2 MiB."""


class Erasure(msgspec.Struct, frozen=True):
    """A user to be erased."""

    tenant: TenantId
    user: UserId
    requester: UserId
    pseudonym: UserId
    """Stands in place of the user's id afterwards."""


async def request(connection: Connection, requester: Caller, user: UserId) -> None:
    """Note that a user is to be erased, and hide their name. The caller ends their access."""
    parameters = {"tenant": requester.tenant, "user": user, "requester": requester.user}
    await connection.execute(queries.REQUEST, parameters)
    await connection.execute(queries.HIDE, {**parameters, "name": NAME})


async def waiting(database: Database) -> list[Erasure]:
    """Requests that are not done, oldest first."""
    async with database.connection(EVERY_TENANT) as connection:
        rows: list[tuple[Any, ...]] = await (await connection.execute(queries.WAITING)).fetchall()
    return [Erasure(*row) for row in rows]


async def erase(database: Database, wanted: Erasure, on_rewritten: Callable[[], Awaitable[None]]) -> None:
    """Erase a user. `on_rewritten` is awaited once the log is free of the user, and before the request counts as done."""
    parameters: dict[str, object] = {**msgspec.structs.asdict(wanted), "name": NAME}
    while await _leave_channels(database, wanted, parameters):
        pass
    for table, query in (("entries", queries.ENTRIES), ("reactions", queries.REACTIONS)):
        # A row that the service changes meanwhile may move to a block that was passed. So the last walk finds nothing.
        while rows := await _walk(database, table, query, parameters):
            logger.info("erasure_under_way", table=table, rows=rows)
    await search.erase(database, wanted.tenant, wanted.user)
    await on_rewritten()
    async with database.transaction([wanted.tenant]) as connection:
        for statement in queries.REST:
            await connection.execute(statement.encode(), parameters)
        await connection.execute(queries.FORGET, parameters)
    logger.info("user_erased", tenant=wanted.tenant, pseudonym=wanted.pseudonym)


async def _leave_channels(database: Database, wanted: Erasure, parameters: dict[str, object]) -> int:
    """Leave some channels; returns how many. The sweeper publishes the entries."""
    async with database.connection([wanted.tenant]) as connection:
        rows: list[tuple[Any, ...]] = await (await connection.execute(queries.CHANNELS, parameters)).fetchall()
    for (channel,) in rows:
        async with database.transaction([wanted.tenant]) as connection:
            await channels.lock(connection, ChannelId(channel))
            await members.remove(connection, wanted.tenant, ChannelId(channel), wanted.user)
            await connection.execute(queries.LEAVE_DIRECT, {**parameters, "channel": channel})
            left = log.Draft(EntryKind.MEMBER_LEFT, wanted.user, Details(user=wanted.user))
            await log.append(connection, wanted.tenant, ChannelId(channel), [left])
    return len(rows)


async def _walk(database: Database, table: str, query: str, parameters: dict[str, object]) -> int:
    """Go through a table once; returns how many rows were rewritten."""
    tenant = str(parameters["tenant"])
    async with database.connection([tenant]) as connection:
        row: Any = await (await connection.execute(queries.BLOCKS, {"table": table})).fetchone()
    rewritten = 0
    for first in range(0, row[0], _BLOCKS):
        async with database.connection([tenant]) as connection:
            found: Any = await (
                await connection.execute(query.encode(), {**parameters, "first": first, "end": first + _BLOCKS})
            ).fetchone()
        rewritten += found[0]
    return rewritten

"""Appends to, reads and verifies the audit log."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import msgspec

from chassis.postgres import EVERY_TENANT, Connection, Database
from messages.audit import FIRST, AuditAction, Broken, Record, verify, via
from messages.message import Caller, ChannelId, TenantId
from messages.queries import audit as queries

_PAGE = 500


async def append(
    connection: Connection,
    caller: Caller,
    action: AuditAction,
    *,
    channel: ChannelId | None = None,
    subject: str = "",
    **details: object,
) -> None:
    """Record an action of the caller, and the product they used, in the transaction that carries it out."""
    product = via()
    parameters = {
        "tenant": caller.tenant,
        "actor": caller.user,
        "action": action.value,
        "channel": channel,
        "subject": subject,
        "details": msgspec.json.encode({**details, "via": product} if product else details).decode(),
    }
    await connection.execute(queries.APPEND, parameters)


async def page(connection: Connection, tenant: TenantId, after: int, limit: int) -> list[Record]:
    """Records numbered above `after`, oldest first."""
    parameters = {"tenant": tenant, "after": after, "limit": limit}
    rows: list[tuple[Any, ...]] = await (await connection.execute(queries.PAGE, parameters)).fetchall()
    return [Record(*row) for row in rows]


async def verify_all(database: Database) -> list[Broken]:
    """The first broken record of each tenant that has one."""
    async with database.connection(EVERY_TENANT) as connection:
        rows: list[tuple[Any, ...]] = await (await connection.execute(queries.TENANTS)).fetchall()
    found = [await verify_one(database, TenantId(tenant)) for (tenant,) in rows]
    return [broken for broken in found if broken]


async def heads(database: Database) -> list[tuple[TenantId, int, bytes]]:
    """The number and the digest of each tenant's newest record."""
    async with database.connection(EVERY_TENANT) as connection:
        rows: list[tuple[Any, ...]] = await (await connection.execute(queries.HEADS)).fetchall()
    return [(TenantId(tenant), number, digest) for tenant, number, digest in rows]


async def digest(database: Database, tenant: TenantId, number: int) -> str | None:
    """The digest of one record in hexadecimal digits; None when there is no such record."""
    async with database.connection([tenant]) as connection:
        row: Any = await (await connection.execute(queries.DIGEST, {"tenant": tenant, "number": number})).fetchone()
    return row[0].hex() if row else None


async def verify_one(database: Database, tenant: TenantId) -> Broken | None:
    """The first broken record of a tenant."""
    async with database.connection([tenant]) as connection:
        row: Any = await (await connection.execute(queries.HEAD, {"tenant": tenant})).fetchone()
    return await verify(tenant, _through(database, tenant, row[0] if row else 0), row or (0, FIRST))


async def _through(database: Database, tenant: TenantId, head: int) -> AsyncIterator[Record]:
    """All records up to `head`, which was read before: records appended later are not verified."""
    after = 0
    while True:
        async with database.connection([tenant]) as connection:
            records = await page(connection, tenant, after, _PAGE)
        for record in records:
            if record.number > head > 0:
                return
            yield record
        if len(records) < _PAGE:
            return
        after = records[-1].number

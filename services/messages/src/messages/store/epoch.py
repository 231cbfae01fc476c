"""Reads and declares the store's epoch."""

from __future__ import annotations

from typing import Any

import msgspec

from chassis.pipeline import Statement
from chassis.postgres import Connection
from messages.queries import epoch as queries


class StoreEpoch(msgspec.Struct, frozen=True):
    """The epoch of the store."""

    id: str
    """Opaque to clients. Later epochs compare greater."""
    first: bool
    """The store has never had another one, so that a position without an epoch is of this one."""


QUERY = Statement(queries.CURRENT).query({})
"""Reads the fields of `StoreEpoch`."""


async def current(connection: Connection) -> StoreEpoch:
    """The epoch in which the store numbers entries now."""
    row: Any = await (await connection.execute(queries.CURRENT)).fetchone()
    return StoreEpoch(*row)


async def declare(connection: Connection, reason: str) -> str | None:
    """Begin a new epoch; None if the server's clock is behind the last declaration."""
    row: Any = await (await connection.execute(queries.DECLARE, {"reason": reason})).fetchone()
    return row[0] if row else None

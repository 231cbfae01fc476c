"""Typed functions for `queries`. The caller provides the connection and the transaction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from chassis.postgres import Connection
from media import queries
from media.upload import Announcement, State, Upload, Verdict


async def create(connection: Connection, announced: Announcement) -> Upload:
    """Insert a pending upload."""
    row: Any = await (await connection.execute(queries.CREATE, msgspec.structs.asdict(announced))).fetchone()
    return _upload(row)


async def get(connection: Connection, tenant: str, upload: str) -> Upload | None:
    """Return one upload, or None if the tenant has none with this id."""
    row: Any = await (await connection.execute(queries.GET, {"tenant": tenant, "id": upload})).fetchone()
    return _upload(row) if row else None


async def find(connection: Connection, tenant: str, channel: str, owner: str, ids: Sequence[str]) -> dict[str, Upload]:
    """Return the uploads of `ids` that belong to this channel and owner, by id."""
    parameters = {"tenant": tenant, "channel": channel, "owner": owner, "ids": list(ids)}
    rows: list[tuple[Any, ...]] = await (await connection.execute(queries.FIND, parameters)).fetchall()
    return {upload.id: upload for upload in map(_upload, rows)}


async def begin_scanning(connection: Connection, tenant: str, upload: str) -> Upload | None:
    """Move an upload from pending to scanning. Return None if it was not pending."""
    row: Any = await (await connection.execute(queries.SCANNING, {"tenant": tenant, "id": upload})).fetchone()
    return _upload(row) if row else None


async def take(connection: Connection, seconds: float) -> tuple[int, Upload] | None:
    """Lease the oldest waiting upload for `seconds`. Return its number of attempts and the upload, or None."""
    row: Any = await (await connection.execute(queries.TAKE, {"seconds": seconds})).fetchone()
    return (row[0], _upload(row[1:])) if row else None


async def renew(connection: Connection, upload: str, seconds: float) -> None:
    """Extend the lease to `seconds` from now."""
    await connection.execute(queries.RENEW, {"id": upload, "seconds": seconds})


async def release(connection: Connection, upload: str) -> None:
    """End the lease, and do not count the attempt."""
    await connection.execute(queries.RELEASE, {"id": upload})


async def settle(connection: Connection, upload: str, verdict: Verdict) -> None:
    """Store the verdict, unless there is one already."""
    await connection.execute(queries.SETTLE, {"id": upload, **msgspec.structs.asdict(verdict), "state": verdict.state.value})


async def expire(connection: Connection, older_than_seconds: float) -> list[Upload]:
    """Fail up to 100 uploads whose file never arrived."""
    rows: list[tuple[Any, ...]] = await (await connection.execute(queries.EXPIRE, {"seconds": older_than_seconds})).fetchall()
    return [_upload(row) for row in rows]


async def count_scanning(connection: Connection) -> int:
    """Return how many uploads wait for a verdict."""
    row: Any = await (await connection.execute(queries.COUNT_SCANNING)).fetchone()
    count: int = row[0]
    return count


def _upload(row: Sequence[Any]) -> Upload:
    upload, tenant, channel, owner, name, size, kind, sha256, state, reason, width, height, thumbnail = row
    return Upload(upload, tenant, channel, owner, name, size, kind, sha256, State(state), reason, width, height, thumbnail)

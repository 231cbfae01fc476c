"""Typed functions over `queries`. The caller owns connection and transaction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from chassis.postgres import Connection
from media import queries
from media.upload import Announcement, State, Upload, Verdict


async def create(connection: Connection, announced: Announcement) -> Upload:
    """A new upload, pending."""
    row: Any = await (await connection.execute(queries.CREATE, msgspec.structs.asdict(announced))).fetchone()
    return _upload(row)


async def get(connection: Connection, tenant: str, upload: str) -> Upload | None:
    """One upload; None when the tenant has none of this id."""
    row: Any = await (await connection.execute(queries.GET, {"tenant": tenant, "id": upload})).fetchone()
    return _upload(row) if row else None


async def find(connection: Connection, tenant: str, channel: str, owner: str, ids: Sequence[str]) -> dict[str, Upload]:
    """Those of `ids` that belong to this channel and owner."""
    parameters = {"tenant": tenant, "channel": channel, "owner": owner, "ids": list(ids)}
    rows: list[tuple[Any, ...]] = await (await connection.execute(queries.FIND, parameters)).fetchall()
    return {upload.id: upload for upload in map(_upload, rows)}


async def begin_scanning(connection: Connection, tenant: str, upload: str) -> Upload | None:
    """From pending to scanning; None when it was not pending."""
    row: Any = await (await connection.execute(queries.SCANNING, {"tenant": tenant, "id": upload})).fetchone()
    return _upload(row) if row else None


async def take(connection: Connection, seconds: float) -> tuple[int, Upload] | None:
    """An upload to scan, held for `seconds`, and how often it has been taken; None when nothing waits."""
    row: Any = await (await connection.execute(queries.TAKE, {"seconds": seconds})).fetchone()
    return (row[0], _upload(row[1:])) if row else None


async def renew(connection: Connection, upload: str, seconds: float) -> None:
    """Hold it for another while."""
    await connection.execute(queries.RENEW, {"id": upload, "seconds": seconds})


async def let_go(connection: Connection, upload: str) -> None:
    """Leave it to whoever comes next."""
    await connection.execute(queries.LET_GO, {"id": upload})


async def settle(connection: Connection, upload: str, verdict: Verdict) -> None:
    """Write the verdict down, unless there is one."""
    await connection.execute(queries.SETTLE, {"id": upload, **msgspec.structs.asdict(verdict), "state": verdict.state.value})


async def expire(connection: Connection, older_than_seconds: float) -> list[Upload]:
    """Fail some of the uploads whose bytes never came."""
    rows: list[tuple[Any, ...]] = await (await connection.execute(queries.EXPIRE, {"seconds": older_than_seconds})).fetchall()
    return [_upload(row) for row in rows]


async def count_scanning(connection: Connection) -> int:
    """How many wait for a verdict."""
    row: Any = await (await connection.execute(queries.COUNT_SCANNING)).fetchone()
    count: int = row[0]
    return count


def _upload(row: Sequence[Any]) -> Upload:
    upload, tenant, channel, owner, name, size, kind, sha256, state, reason, width, height, thumbnail = row
    return Upload(upload, tenant, channel, owner, name, size, kind, sha256, State(state), reason, width, height, thumbnail)

"""Typed functions over `queries`. The caller owns connection and transaction."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

import msgspec

from chassis.postgres import Connection
from media import queries
from media.quota import WINDOW_SECONDS, Usage
from media.upload import Announcement, State, Upload, Verdict


async def create(connection: Connection, announced: Announcement, recent: int) -> tuple[Upload, Usage]:
    """A new upload, pending, and its owner's usage with it. Recent announcements are counted up to one beyond `recent`.

    Needs a transaction: rolled back, the upload is not counted.
    """
    row: Any = await (await connection.execute(queries.CREATE, msgspec.structs.asdict(announced))).fetchone()
    parameters = {"tenant": announced.tenant, "owner": announced.owner, "seconds": WINDOW_SECONDS, "limit": recent}
    usage: Any = await (await connection.execute(queries.USAGE, parameters)).fetchone()
    return _upload(row), Usage(*usage)


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


async def waiting(connection: Connection) -> list[tuple[str, str]]:
    """The (tenant, owner) pairs that have uploads to be examined, those under a lease included."""
    rows: list[tuple[Any, ...]] = await (await connection.execute(queries.WAITING)).fetchall()
    return [(tenant, owner) for tenant, owner in rows]


async def take(
    connection: Connection, tenant: str, owner: str, seconds: float, types_not_taken: Collection[str] = ()
) -> tuple[int, Upload] | None:
    """The owner's smallest upload, leased for `seconds`, and how often it has been taken; None when none waits."""
    parameters = {"tenant": tenant, "owner": owner, "seconds": seconds, "except": list(types_not_taken)}
    row: Any = await (await connection.execute(queries.TAKE, parameters)).fetchone()
    return (row[0], _upload(row[1:])) if row else None


async def renew(connection: Connection, upload: str, seconds: float) -> None:
    """Extend the lease to `seconds` from now."""
    await connection.execute(queries.RENEW, {"id": upload, "seconds": seconds})


async def release(connection: Connection, upload: str) -> None:
    """End the lease without counting the attempt."""
    await connection.execute(queries.RELEASE, {"id": upload})


async def settle(connection: Connection, upload: str, verdict: Verdict) -> bool:
    """Store the verdict; False when there is one already."""
    parameters = {"id": upload, **msgspec.structs.asdict(verdict), "state": verdict.state.value}
    return (await connection.execute(queries.SETTLE, parameters)).rowcount == 1


async def expire(connection: Connection, older_than_seconds: float) -> bool:
    """Fail one upload that was not completed in time; False when there is none."""
    return (await connection.execute(queries.EXPIRE, {"seconds": older_than_seconds})).rowcount == 1


async def awaited(connection: Connection, ids: Sequence[str]) -> set[str]:
    """Those of `ids` whose uploaded bytes are still needed."""
    rows: list[tuple[Any, ...]] = await (await connection.execute(queries.AWAITED, {"ids": list(ids)})).fetchall()
    return {row[0] for row in rows}


async def count_scanning(connection: Connection) -> int:
    """How many uploads await their verdict."""
    row: Any = await (await connection.execute(queries.COUNT_SCANNING)).fetchone()
    count: int = row[0]
    return count


def _upload(row: Sequence[Any]) -> Upload:
    upload, tenant, channel, owner, name, size, kind, sha256, state, *rest = row
    reason, width, height, thumbnail, kept_sha256 = rest
    return Upload(
        upload, tenant, channel, owner, name, size, kind, sha256, State(state), reason, width, height, thumbnail, kept_sha256
    )

"""Reads and writes users."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from chassis.bots import is_bot
from chassis.postgres import Connection
from messages.message import Caller, TenantId, User, UserId
from messages.queries import users as queries
from messages.store.sorting import LAST_CHARACTER

FAST_SECONDS = 10
"""How far ahead of ours a token issuer's clock may be: the gateway's leeway for `iat`."""
CONSIDERED = 5_000
"""Words that begin with a query, at most, of which a page of users is made."""


class UserRecord(msgspec.Struct, frozen=True):
    """A user's row."""

    tenant: TenantId
    id: UserId
    name: str
    blocked: bool
    revoked_before: float | None
    """Unix seconds; tokens issued earlier are void."""
    issued_ahead: bool
    """The user has shown a token from the future."""

    def refuses(self, caller: Caller) -> bool:
        """Whether the user is blocked or the caller's token revoked. A service acting for the user has no token.

        A bot's token counts as a session: an issuer's token for a bot's id is void.
        """
        void = self.revoked_before is not None and 0 < caller.token_issued_at < self.revoked_before
        foreign = is_bot(self.id) and caller.token_issued_at > 0 and not caller.session
        return self.blocked or void or foreign


class Admission(msgspec.Struct, frozen=True):
    """A caller, and the display name in their token; an empty one keeps the stored name."""

    caller: Caller
    name: str = ""


class RevocationState(msgspec.Struct, frozen=True):
    """Whether and since when a user is revoked or blocked."""

    revoked_before: float
    blocked: bool


async def admit(connection: Connection, admissions: Sequence[Admission]) -> dict[tuple[str, str], UserRecord]:
    """Store users; returns them by (tenant, id). Writes only new and changed ones.

    A bot that does not exist is neither stored nor returned: `bots.create` alone makes bots, and names them.

    A user's first token from the future shows that the issuer's clock is fast. From then on, revocations of the user, the last
    one included, void tokens up to `FAST_SECONDS` younger: some of them were issued before it.
    """
    wanted = _names(admissions)
    ahead = _ahead(admissions)
    parameters: dict[str, object] = {"tenants": [tenant for tenant, _ in wanted], "ids": [user for _, user in wanted]}
    rows: list[tuple[Any, ...]] = await (await connection.execute(queries.FIND, parameters)).fetchall()
    found = by_id(rows)
    if changed := unwritten(admissions, found):
        parameters = {
            "tenants": [tenant for tenant, _ in changed],
            "ids": [user for _, user in changed],
            "names": [wanted[user_id] or (found[user_id].name if user_id in found else user_id[1]) for user_id in changed],
            "ahead": [user_id in ahead for user_id in changed],
            "fast": FAST_SECONDS,
        }
        rows = await (await connection.execute(queries.UPSERT, parameters)).fetchall()
        found |= by_id(rows)
    return found


def unwritten(admissions: Sequence[Admission], found: Mapping[tuple[str, str], UserRecord]) -> list[tuple[str, str]]:
    """Users who are new or have changed, in order, when `found` are the ones that are stored."""
    ahead = _ahead(admissions)
    return sorted(
        user_id
        for user_id, name in _names(admissions).items()
        if not is_bot(user_id[1])
        and (
            user_id not in found
            or (name and found[user_id].name != name)
            or (user_id in ahead and not found[user_id].issued_ahead)
        )
    )


def by_id(rows: Sequence[tuple[Any, ...]]) -> dict[tuple[str, str], UserRecord]:
    """Users by (tenant, id) from the columns of `queries.FIND`."""
    return {(row[0], row[1]): UserRecord(*row) for row in rows}


def _names(admissions: Sequence[Admission]) -> dict[tuple[str, str], str]:
    return {(each.caller.tenant, each.caller.user): each.name for each in admissions}


def _ahead(admissions: Sequence[Admission]) -> set[tuple[str, str]]:
    """Users who show a token from the future. Our own sessions are dated by the database."""
    now = time.time()
    return {
        (each.caller.tenant, each.caller.user)
        for each in admissions
        if each.caller.token_issued_at > now and not each.caller.session
    }


async def names(connection: Connection, tenant: TenantId, ids: Sequence[UserId]) -> dict[UserId, str]:
    """Display names of those of `ids` that exist in the tenant."""
    rows: list[tuple[Any, ...]] = await (await connection.execute(queries.NAMES, {"tenant": tenant, "ids": list(ids)})).fetchall()
    return dict(rows)


async def search(
    connection: Connection, tenant: TenantId, query: str, after: tuple[str, str], limit: int
) -> list[tuple[User, tuple[str, str]]]:
    """All users by name, or those of whose name or id a word begins with `query`; each with the `after` that continues from them.

    If more than `CONSIDERED` words begin with the query, only the users of the first ones are found.
    """
    parameters = {"tenant": tenant, "after_name": after[0], "after_id": after[1], "limit": limit}
    statement = queries.LIST
    if query := query.strip():
        statement = queries.SEARCH
        parameters |= {"query": query, "last": LAST_CHARACTER, "considered": CONSIDERED}
    rows: list[tuple[Any, ...]] = await (await connection.execute(statement, parameters)).fetchall()
    return [(User(user, name), (sorted_by, user)) for user, name, sorted_by in rows]


async def revoke(connection: Connection, tenant: TenantId, user: UserId) -> RevocationState | None:
    """Revoke the tokens issued before now; None when there is no such user."""
    row: Any = await (await connection.execute(queries.REVOKE, {"tenant": tenant, "id": user, "fast": FAST_SECONDS})).fetchone()
    return RevocationState(*row) if row else None


async def block(connection: Connection, tenant: TenantId, user: UserId, *, blocked: bool) -> RevocationState | None:
    """Block or unblock a user; None when there is no such user."""
    parameters = {"tenant": tenant, "id": user, "blocked": blocked}
    row: Any = await (await connection.execute(queries.BLOCK, parameters)).fetchone()
    return RevocationState(*row) if row else None

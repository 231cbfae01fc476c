"""Users of a tenant."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from chassis.postgres import Connection
from messages.message import Caller, TenantId, User, UserId
from messages.queries import users as queries


class Known(msgspec.Struct, frozen=True):
    """A user's row."""

    tenant: TenantId
    id: UserId
    name: str
    blocked: bool
    revoked_before: float | None
    """Unix seconds; tokens issued before are void."""

    def refuses(self, caller: Caller) -> bool:
        """Whether the caller's token is void or the user kept out. A service acting for the user has no token to be void."""
        void = self.revoked_before is not None and 0 < caller.token_issued_at < self.revoked_before
        return self.blocked or void


class Arrival(msgspec.Struct, frozen=True):
    """A caller, and the display name that their token gives; empty keeps what is known."""

    caller: Caller
    name: str = ""


class Decision(msgspec.Struct, frozen=True):
    """What holds for a user now."""

    revoked_before: float
    blocked: bool


async def admit(connection: Connection, arrivals: Sequence[Arrival]) -> dict[tuple[str, str], Known]:
    """Make users known, by (tenant, id); writes only what is new or changed."""
    wanted = {(each.caller.tenant, each.caller.user): each.name for each in arrivals}
    known = await _find(connection, list(wanted))
    changed = sorted(place for place, name in wanted.items() if place not in known or (name and known[place].name != name))
    if changed:
        parameters = {
            "tenants": [tenant for tenant, _ in changed],
            "ids": [user for _, user in changed],
            "names": [wanted[place] or place[1] for place in changed],
        }
        rows: list[tuple[Any, ...]] = await (await connection.execute(queries.UPSERT, parameters)).fetchall()
        known |= {(row[0], row[1]): Known(*row) for row in rows}
    return known


async def _find(connection: Connection, places: Sequence[tuple[str, str]]) -> dict[tuple[str, str], Known]:
    parameters = {"tenants": [tenant for tenant, _ in places], "ids": [user for _, user in places]}
    rows: list[tuple[Any, ...]] = await (await connection.execute(queries.FIND, parameters)).fetchall()
    return {(row[0], row[1]): Known(*row) for row in rows}


async def names(connection: Connection, tenant: TenantId, ids: Sequence[UserId]) -> dict[UserId, str]:
    """Display names of those of `ids` that the tenant knows."""
    rows: list[tuple[Any, ...]] = await (await connection.execute(queries.KNOWN, {"tenant": tenant, "ids": list(ids)})).fetchall()
    return dict(rows)


async def find_people(
    connection: Connection, tenant: TenantId, query: str, after: tuple[str, str], limit: int
) -> list[tuple[User, tuple[str, str]]]:
    """People by name, whose id or name holds `query`, each with the place that as `after` leads on from them."""
    pattern = f"%{_escaped(query.lower())}%" if query else None
    parameters = {"tenant": tenant, "pattern": pattern, "after_name": after[0], "after_id": after[1], "limit": limit}
    rows: list[tuple[Any, ...]] = await (await connection.execute(queries.LIST, parameters)).fetchall()
    return [(User(user, name), (sorted_by, user)) for user, name, sorted_by in rows]


async def revoke(connection: Connection, tenant: TenantId, user: UserId) -> Decision | None:
    """Void the tokens issued before now; None when there is no such user."""
    row: Any = await (await connection.execute(queries.REVOKE, {"tenant": tenant, "id": user})).fetchone()
    return Decision(*row) if row else None


async def block(connection: Connection, tenant: TenantId, user: UserId, *, blocked: bool) -> Decision | None:
    """Keep a user out, or lift it; None when there is no such user."""
    parameters = {"tenant": tenant, "id": user, "blocked": blocked}
    row: Any = await (await connection.execute(queries.BLOCK, parameters)).fetchone()
    return Decision(*row) if row else None


def _escaped(pattern: str) -> str:
    return pattern.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")

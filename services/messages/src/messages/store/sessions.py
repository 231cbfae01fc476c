"""Reads and writes browser sessions."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import msgspec

from chassis.postgres import Connection
from messages.message import Caller
from messages.queries import sessions as queries

MOST = 100
"""Sessions of one user; a further sign-in ends the one that was used least recently."""


class BrowserSession(msgspec.Struct, frozen=True):
    """A session that has not ended."""

    id: str
    created_at: datetime
    seen_at: datetime
    ends_at: datetime
    user_agent: str


class Lifetime(msgspec.Struct, frozen=True):
    """When a session ends: after so many seconds without use, and after so many in any case."""

    idle: int
    longest: int


async def begin(
    connection: Connection, caller: Caller, user_agent: str, lifetime: Lifetime
) -> tuple[BrowserSession, float, list[str]]:
    """Begin a session, or go on with the caller's own.

    Returns it, its time of issue (Unix seconds), and the sessions that ended to make room.
    """
    own = _own(caller)
    parameters = {
        **own,
        "continues": caller.session or None,
        "user_agent": user_agent,
        "idle": lifetime.idle,
        "longest": lifetime.longest,
    }
    await connection.execute(queries.DELETE_OLD, own)
    row: Any = await (await connection.execute(queries.BEGIN, parameters)).fetchone()
    surplus = await _ids(connection, queries.END_SURPLUS, {**own, "keep": MOST})
    return BrowserSession(*row[:-1]), row[-1], surplus


async def use(connection: Connection, callers: Iterable[Caller]) -> Mapping[str, float]:
    """When each caller's session or bot's token ends (Unix seconds), by id, for valid ones. Writes the use.

    Callers without a session share the id "", which never ends.
    """
    ends = {"": math.inf}
    asked = {caller.session: caller for caller in callers if caller.session}
    if not asked:
        return ends
    parameters = {
        "ids": list(asked),
        "tenants": [caller.tenant for caller in asked.values()],
        "users": [caller.user for caller in asked.values()],
    }
    rows: Any = await (await connection.execute(queries.VALID, parameters)).fetchall()
    ends |= {session: end for session, end, _ in rows}
    if unused := sorted(session for session, _, unused in rows if unused):
        touched: Any = await (await connection.execute(queries.TOUCH, {"ids": unused})).fetchall()
        ends |= dict(touched)
    return ends


async def list_valid(connection: Connection, caller: Caller) -> list[BrowserSession]:
    """The user's sessions, the last used first."""
    rows: list[tuple[Any, ...]] = await (await connection.execute(queries.LIST, {**_own(caller), "limit": MOST})).fetchall()
    return [BrowserSession(*row) for row in rows]


async def end(connection: Connection, caller: Caller, session: str) -> list[str]:
    """End a session of the user; returns its id, or nothing if there is none or it ended more than a minute ago."""
    return await _ids(connection, queries.END, {**_own(caller), "id": session})


async def end_others(connection: Connection, caller: Caller, kept: str = "") -> list[str]:
    """End all sessions of the user but one; returns the ids of those that ended now or less than a minute ago."""
    return await _ids(connection, queries.END_OTHERS, {**_own(caller), "id": kept or None})


async def _ids(connection: Connection, query: str, parameters: Mapping[str, object]) -> list[str]:
    rows: list[tuple[Any, ...]] = await (await connection.execute(query, parameters)).fetchall()
    return [row[0] for row in rows]


def _own(caller: Caller) -> dict[str, str]:
    return {"tenant": caller.tenant, "user": caller.user}

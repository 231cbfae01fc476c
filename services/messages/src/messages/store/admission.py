"""Reads whether callers are admitted, so that an RPC that only reads can do both in one round trip.

`users.admit` and `sessions.use` write what must be written first: a user who is new or has changed, and the use of a session.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import msgspec

from chassis.pipeline import Query, Rows, Statement, Value
from chassis.postgres import Database
from messages.message import Caller
from messages.queries import sessions as session_queries
from messages.queries import users as user_queries
from messages.store import sessions, users
from messages.store.users import Admission, UserRecord

_USERS = Statement(user_queries.FIND)
_SESSIONS = Statement(session_queries.VALID)


class Admitted(msgspec.Struct, frozen=True):
    """What decides whether callers are admitted."""

    users: Mapping[tuple[str, str], UserRecord]
    """By tenant and id."""
    ends: Mapping[str, float]
    """When each valid session ends (Unix seconds); callers without a session share the id "", which never ends."""

    def admits(self, caller: Caller) -> bool:
        """Whether the user exists and is not blocked, and neither the token nor the session is void."""
        user = self.users.get((caller.tenant, caller.user))
        return user is not None and not user.refuses(caller) and caller.session in self.ends


async def admit(database: Database, admissions: Sequence[Admission], reads: Sequence[Query]) -> tuple[Admitted, list[Rows]]:
    """Store users as `users.admit`, use their sessions, and read more: in one round trip if nothing has to be written.

    At least one admission is given, each with another user or session. Returns also the rows of each of `reads`.
    """
    callers = [admission.caller for admission in admissions]
    tenants = sorted({caller.tenant for caller in callers})
    own = _queries(callers)
    rows = await database.reading(tenants, [*own, *reads])
    found, valid = users.by_id(rows[0]), rows[1] if len(own) > 1 else []
    admitted = Admitted(found, {"": math.inf, **{session: end for session, end, _ in valid}})
    if any(unused for _, _, unused in valid) or users.unwritten(admissions, found):
        async with database.connection(tenants) as connection:
            admitted = Admitted(await users.admit(connection, admissions), await sessions.use(connection, callers))
    return admitted, rows[len(own) :]


def _queries(callers: Sequence[Caller]) -> list[Query]:
    """The users, and the sessions if there are any."""
    ids = list(dict.fromkeys((caller.tenant, caller.user) for caller in callers))
    found = [_USERS.query({"tenants": [tenant for tenant, _ in ids], "ids": [user for _, user in ids]})]
    signed_in = {caller.session: caller for caller in callers if caller.session}
    if signed_in:
        parameters: dict[str, Value] = {
            "ids": list(signed_in),
            "tenants": [caller.tenant for caller in signed_in.values()],
            "users": [caller.user for caller in signed_in.values()],
        }
        found.append(_SESSIONS.query(parameters))
    return found

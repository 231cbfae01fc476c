"""Reads whether a caller is admitted, so that an RPC that only reads can do both in one round trip.

`users.admit` and `sessions.use` are for callers who must be written first, and for several at once.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

from chassis.pipeline import Query, Rows, Statement
from messages.message import Caller
from messages.queries import sessions as session_queries
from messages.queries import users as user_queries
from messages.store.users import UserRecord

_USER = Statement(user_queries.FIND)
_SESSION = Statement(session_queries.VALID)


def queries(caller: Caller) -> list[Query]:
    """The statements whose rows `admits` reads."""
    found = [_USER.query({"tenants": [caller.tenant], "ids": [caller.user]})]
    if caller.session:
        found.append(_SESSION.query({"ids": [caller.session], "tenants": [caller.tenant], "users": [caller.user]}))
    return found


def admits(caller: Caller, rows: Sequence[Rows]) -> bool | None:
    """Whether the caller is admitted; None when the user or the use of the session must be written first."""
    users, *sessions = rows
    if not users:
        return None
    user = UserRecord(*users[0])
    if user.refuses(caller):
        return False
    if not sessions:
        return None if caller.token_issued_at > time.time() and not user.issued_ahead else True
    if not sessions[0]:
        return False
    _, _, unused = sessions[0][0]
    return None if unused else True

"""Lets a socket outlive its token: the client brings a fresh one of the same user, and the socket lives as long as that.

A token that is not believed, is void, or is somebody else's changes nothing: the socket stays until its own token ends (4001).
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import structlog

from chassis.errors import HubbubError, Internal, NotAuthenticated, RateLimited
from chassis.metrics import DEFECTS
from gateway.outbound.frames import Ref, Renewed, encode, refusal
from gateway.outbound.outbox import Outbox
from gateway.sweep import Sweep

if TYPE_CHECKING:
    from gateway.admission import Admission
    from gateway.auth import Authenticator
    from gateway.connection import Connection

log = structlog.get_logger()
_LATEST = datetime(9999, 12, 31, tzinfo=UTC).timestamp()
"""What can still be spelled as a date; some tokens never end."""


class Renewals:
    """Fresh tokens being looked at, one of a socket at a time."""

    def __init__(
        self, outbox: Outbox, sweep: Sweep, *, authenticator: Authenticator, admission: Admission, group: asyncio.TaskGroup
    ) -> None:
        self._outbox = outbox
        self._sweep = sweep
        self._authenticator = authenticator
        self._admission = admission
        self._group = group
        self._under_way: set[Connection] = set()

    def renew(self, connection: Connection, token: str, ref: Ref) -> None:
        """Look at a token and answer. Raises `RateLimited` while one of the socket's is being looked at."""
        if connection in self._under_way:
            raise RateLimited("A token of this connection is being looked at", retry_after=1.0)
        self._under_way.add(connection)
        self._group.create_task(self._answer(connection, token, ref))

    async def _answer(self, connection: Connection, token: str, ref: Ref) -> None:
        try:
            answer = encode(Renewed(await self._renewed(connection, token), ref))
        except HubbubError as error:
            answer = refusal(error, ref)
        except Exception as error:  # the outermost handler of this task
            DEFECTS.labels("renewal").inc()
            log.exception("renewal_failed", error=type(error).__name__)
            answer = refusal(Internal(), ref)
        finally:
            self._under_way.discard(connection)
        self._outbox.send(connection, answer)

    async def _renewed(self, connection: Connection, token: str) -> str:
        identity = await self._authenticator.identify(token)
        if (identity.tenant, identity.user) != (connection.identity.tenant, connection.identity.user):
            raise NotAuthenticated
        await self._admission.admit(identity)
        sooner = identity.expires_at < connection.identity.expires_at
        connection.identity = identity
        if sooner and not connection.closing:
            self._sweep.watch(connection)  # it lies where the old token would have ended
        ends = datetime.fromtimestamp(min(identity.expires_at, _LATEST), UTC)
        return ends.isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"

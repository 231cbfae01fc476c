"""Lets a socket outlive its token: the client brings a fresh one of the same user, and the socket lives as long as that.

A browser that is known by its cookie has no token to show: it brings a ticket, which stands for what bought it. What is not
believed, is void, or is somebody else's changes nothing: the socket stays until its own token ends (4001).
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import structlog

from chassis.errors import HubbubError, Internal, InvalidFrame, NotAuthenticated, RateLimited
from chassis.metrics import DEFECTS
from gateway.inbound.frames import Token
from gateway.outbound.frames import Ref, Renewed, encode, refusal
from gateway.outbound.outbox import Outbox
from gateway.sweep import Sweep

if TYPE_CHECKING:
    from gateway.admission import Admission
    from gateway.auth import Authenticator
    from gateway.connection import Connection, Identity
    from gateway.tickets import Tickets

log = structlog.get_logger()


class Renewals:
    """Fresh tokens being looked at, one of a socket at a time."""

    def __init__(
        self,
        outbox: Outbox,
        sweep: Sweep,
        *,
        authenticator: Authenticator,
        tickets: Tickets,
        admission: Admission,
        group: asyncio.TaskGroup,
    ) -> None:
        self._outbox = outbox
        self._sweep = sweep
        self._authenticator = authenticator
        self._tickets = tickets
        self._admission = admission
        self._group = group
        self._under_way: set[Connection] = set()

    def renew(self, connection: Connection, fresh: Token) -> None:
        """Look at what was brought and answer. Raises `InvalidFrame`, `RateLimited` while one is looked at."""
        if isinstance(fresh.token, str) == isinstance(fresh.ticket, str):
            raise InvalidFrame("Either token or ticket is needed")
        if connection in self._under_way:
            raise RateLimited("A token of this connection is being looked at", retry_after=1.0)
        self._under_way.add(connection)
        self._group.create_task(self._answer(connection, fresh))

    async def _answer(self, connection: Connection, fresh: Token) -> None:
        ref: Ref = fresh.ref
        try:
            answer = encode(Renewed(await self._renewed(connection, await self._identity(fresh)), ref))
        except HubbubError as error:
            answer = refusal(error, ref)
        except Exception as error:  # the outermost handler of this task
            DEFECTS.labels("renewal").inc()
            log.exception("renewal_failed", error=type(error).__name__)
            answer = refusal(Internal(), ref)
        finally:
            self._under_way.discard(connection)
        self._outbox.send(connection, answer)

    async def _identity(self, fresh: Token) -> Identity:
        if isinstance(fresh.ticket, str):
            return await self._tickets.redeem(fresh.ticket)
        return await self._authenticator.identify(fresh.token or "")

    async def _renewed(self, connection: Connection, identity: Identity) -> str:
        if (identity.tenant, identity.user) != (connection.identity.tenant, connection.identity.user):
            raise NotAuthenticated
        await self._admission.admit(identity)
        sooner = identity.expires_at < connection.identity.expires_at
        connection.identity = identity
        if sooner and not connection.closing:
            self._sweep.watch(connection)  # it lies where the old token would have ended
        return identity.ends_at

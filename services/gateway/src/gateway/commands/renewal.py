"""Lets a connection outlive its token: the client sends a fresh token of the same user, and the connection takes its expiry.

A browser with a cookie session has no token; it sends a ticket instead. A token that is invalid, revoked, or another user's
changes nothing: the connection stays until its own token expires.
"""

from __future__ import annotations

import asyncio

import structlog

from chassis.errors import HubbubError, Internal, InvalidFrame, NotAuthenticated, RateLimited
from chassis.metrics import DEFECTS
from gateway.identity.access_cache import AccessCache
from gateway.identity.authentication import Authenticator
from gateway.identity.identity import Identity
from gateway.identity.permission import require
from gateway.identity.tickets import Tickets
from gateway.model import Connection
from gateway.protocol.incoming import Token
from gateway.protocol.outgoing import Ref, Renewed, encode, refusal
from gateway.protocol.scopes import SOCKET
from gateway.wire.registry import Registry

log = structlog.get_logger()


class Renewals:
    """Fresh tokens being verified, one of a connection at a time."""

    def __init__(
        self,
        registry: Registry,
        *,
        authenticator: Authenticator,
        tickets: Tickets,
        access: AccessCache,
        group: asyncio.TaskGroup,
    ) -> None:
        self._registry = registry
        self._authenticator = authenticator
        self._tickets = tickets
        self._access = access
        self._group = group
        self._under_way: set[Connection] = set()

    def renew(self, connection: Connection, fresh: Token) -> None:
        """Verify a fresh token and answer. Raises `InvalidFrame`, and `RateLimited` while another is being verified."""
        if isinstance(fresh.token, str) == isinstance(fresh.ticket, str):
            raise InvalidFrame("Either token or ticket is needed")
        if connection in self._under_way:
            raise RateLimited("A token of this connection is being verified", retry_after=1.0)
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
        self._registry.writer.send(connection, answer)

    async def _identity(self, fresh: Token) -> Identity:
        if isinstance(fresh.ticket, str):
            return await self._tickets.redeem(fresh.ticket)
        return await self._authenticator.identify(fresh.token or "")

    async def _renewed(self, connection: Connection, identity: Identity) -> str:
        if (identity.tenant, identity.user) != (connection.identity.tenant, connection.identity.user):
            raise NotAuthenticated
        require(identity, SOCKET)
        await self._access.admit(identity)
        sooner = identity.expires_at < connection.identity.expires_at
        connection.identity = identity
        if sooner and connection.closing is None:
            self._registry.sweep.watch(connection)  # it is in the bucket of the old token's expiry
        return identity.ends_at

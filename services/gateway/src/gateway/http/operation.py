"""Declares what an operation of the HTTP API takes, answers and costs, once, where it is handled.

`Operation` reads a request by the declaration and charges its cost; `openapi` writes the document from it (docs/adr/0022). An
operation without a cost (docs/adr/0031), or with a caller and without a scope for bots (docs/adr/0059), raises `TypeError` when
its module is imported.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_type_hints

from starlette.requests import Request
from starlette.responses import Response

from chassis.errors import HubbubError, RateLimited
from gateway.http.api import address_of, api_of, body_of, decoded, headers_of, hook_of, identity_of, query_of
from gateway.identity.identity import Identity
from gateway.identity.permission import require
from gateway.protocol.incoming import COST_BYTES
from gateway.protocol.scopes import Beyond, Scope

TAKEN = ("identity", "query", "headers", "body")
"""Names that a handler's parameters after the request may have, in the order in which they are read."""
Allowance: TypeAlias = Literal["requests", "sends", "sign_ins", "unauthenticated"]
"""What an operation is charged to: the first two are a user's, the others an address's."""
_OF_USERS = frozenset({"requests", "sends"})


@dataclass(frozen=True, slots=True)
class Operation:
    """A handler with its declaration; call it like the handler."""

    handler: Callable[..., Awaitable[Response]]
    takes: Mapping[str, Any]
    """The handler's parameters after the request, with their types."""
    answers: Mapping[int, Any]
    """By status: the type of a JSON answer, the media type of any other, None for an empty one."""
    refusals: tuple[type[HubbubError], ...]
    """Errors that do not follow from what it takes."""
    cost: float
    """Tokens, besides one for each `COST_BYTES` of the body; 0 if it is free."""
    allowance: Allowance
    walks: bool
    """Its work grows with what is stored."""
    scope: Scope | None
    """What the token of a bot must permit; None for an operation without an identity."""

    async def __call__(self, request: Request) -> Response:
        """Answer a request. Raises `HubbubError`."""
        if self.scope is None:
            if self.cost:
                getattr(api_of(request).rates, self.allowance).take(address_of(request), cost=self.cost)
            return await self.handler(request, **await self._read(request, None))
        api, identity = api_of(request), await (hook_of if self.scope is Beyond.HOOK else identity_of)(request)
        charge(request, identity, self.cost, self.allowance)
        require(identity, self.scope)
        async with AsyncExitStack() as turns:
            if self.walks:
                await turns.enter_async_context(api.walks.turn(identity.tenant, identity.user))
            await turns.enter_async_context(api.requests.turn(identity.tenant, identity.user))
            return await self.handler(request, **await self._read(request, identity))

    async def _read(self, request: Request, identity: Identity | None) -> dict[str, Any]:
        given: dict[str, Any] = {}
        for name, shape in self.takes.items():
            match name:
                case "identity":
                    given[name] = identity
                case "query":
                    given[name] = query_of(request, shape)
                case "headers":
                    given[name] = headers_of(request, shape)
                case _:
                    body = await body_of(request)
                    if identity is not None and len(body) >= COST_BYTES:
                        charge(request, identity, len(body) // COST_BYTES, self.allowance)
                    given[name] = decoded(body, shape)
        return given


def charge(request: Request, identity: Identity, cost: float, allowance: Allowance = "requests") -> None:
    """Charge a user. Raises `RateLimited`."""
    rates = api_of(request).rates
    (rates.send if allowance == "sends" else rates.request)(identity.tenant, identity.user, cost)


async def charged(request: Request, identity: Identity, cost: float) -> None:
    """Charge a user for more work of a request that is being answered, after waiting until the tokens are there."""
    while True:
        try:
            return charge(request, identity, cost)
        except RateLimited as error:
            await asyncio.sleep(error.retry_after)


def operation(
    answers: Mapping[int, Any],
    *refusals: type[HubbubError],
    cost: float,
    scope: Scope | None = None,
    allowance: Allowance = "requests",
    walks: bool = False,
) -> Callable[[Callable[..., Awaitable[Response]]], Operation]:
    """Declare a handler: its parameters' names and types say what it takes.

    Raises `TypeError` for other names, where a cost would be charged to a user without an `identity`, and for an `identity`
    without a scope.
    """

    def declare(handler: Callable[..., Awaitable[Response]]) -> Operation:
        hints = get_type_hints(handler)
        if unknown := hints.keys() - {*TAKEN, "request", "_request", "return"}:
            raise TypeError(f"not a part of a request: {sorted(unknown)}")
        takes = {name: hints[name] for name in TAKEN if name in hints}
        if cost and ("identity" in takes) is not (allowance in _OF_USERS):
            raise TypeError(f"{handler.__name__} cannot be charged to {allowance}")
        if not cost and "identity" in takes:
            raise TypeError(f"{handler.__name__} has a user, so it has a cost")
        if ("identity" in takes) is not (scope is not None):
            raise TypeError(f"{handler.__name__} has a user if, and only if, it has a scope")
        return Operation(handler, takes, answers, refusals, cost, allowance, walks, scope)

    return declare

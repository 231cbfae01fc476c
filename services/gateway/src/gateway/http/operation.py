"""Declares what an operation of the HTTP API takes and answers, once, where it is handled.

`Operation` reads a request by the declaration; `openapi` writes the document from it (docs/adr/0022).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, get_type_hints

from starlette.requests import Request
from starlette.responses import Response

from chassis.errors import HubbubError
from gateway.http.api import body_of, headers_of, identity_of, query_of

TAKEN = ("identity", "query", "headers", "body")
"""Names that a handler's parameters after the request may have, in the order in which they are read."""


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
    first: Callable[[Request], None] | None
    """Called before anything is read."""

    async def __call__(self, request: Request) -> Response:
        """Answer a request. Raises `HubbubError`."""
        if self.first is not None:
            self.first(request)
        given: dict[str, Any] = {}
        for name, shape in self.takes.items():
            match name:
                case "identity":
                    given[name] = await identity_of(request)
                case "query":
                    given[name] = query_of(request, shape)
                case "headers":
                    given[name] = headers_of(request, shape)
                case _:
                    given[name] = await body_of(request, shape)
        return await self.handler(request, **given)


def operation(
    answers: Mapping[int, Any],
    *refusals: type[HubbubError],
    first: Callable[[Request], None] | None = None,
) -> Callable[[Callable[..., Awaitable[Response]]], Operation]:
    """Declare a handler: its parameters' names and types say what it takes. Raises `TypeError` for other names."""

    def declare(handler: Callable[..., Awaitable[Response]]) -> Operation:
        hints = get_type_hints(handler)
        if unknown := hints.keys() - {*TAKEN, "request", "_request", "return"}:
            raise TypeError(f"not a part of a request: {sorted(unknown)}")
        takes = {name: hints[name] for name in TAKEN if name in hints}
        return Operation(handler, takes, answers, refusals, first)

    return declare

"""What an operation of the HTTP API takes and answers, declared once, where it is handled.

`Operation` reads what the handler takes from a request; `openapi` writes the document from the same declaration.
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
"""What a handler's parameters after the request may be called, in the order in which they are read."""


@dataclass(frozen=True, slots=True)
class Operation:
    """A handler and its declaration; it is called as a handler is."""

    handler: Callable[..., Awaitable[Response]]
    takes: Mapping[str, Any]
    """The handler's parameters after the request, with their types."""
    answers: Mapping[int, Any]
    """By status: the type of the JSON, a text for the media type of what is no JSON, None for nothing."""
    refusals: tuple[type[HubbubError], ...]
    """Those that do not follow from what it takes."""
    first: Callable[[Request], None] | None
    """What is done before anything is read."""

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
    """Declare a handler; what it takes is what its parameters are called and of which type. Raises `TypeError` for others."""

    def declare(handler: Callable[..., Awaitable[Response]]) -> Operation:
        hints = get_type_hints(handler)
        if unknown := hints.keys() - {*TAKEN, "request", "_request", "return"}:
            raise TypeError(f"nobody reads {sorted(unknown)} of a request")
        takes = {name: hints[name] for name in TAKEN if name in hints}
        return Operation(handler, takes, answers, refusals, first)

    return declare

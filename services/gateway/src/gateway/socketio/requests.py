"""An HTTP request for a session, and its answer, wherever it was received."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from chassis.errors import TooLarge

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
"""As in ASGI."""


class Disconnected(Exception):
    """The client is gone before its request was complete."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request; its body is received on demand."""

    method: str
    query: bytes
    fields: Mapping[str, str]
    """Headers by lower-case name."""
    peer: str
    """The address from which it comes."""
    receive: Receive

    async def body(self, most: int) -> bytes:
        """Receive the body. Raises `TooLarge` beyond so many bytes, and `Disconnected`."""
        body = bytearray()
        while True:
            message = await self.receive()
            if message["type"] == "http.disconnect":
                raise Disconnected
            body += message.get("body", b"")
            if len(body) > most:
                raise TooLarge
            if not message.get("more_body", False):
                return bytes(body)

    async def disconnected(self) -> None:
        """Return when the client is gone."""
        while (await self.receive())["type"] != "http.disconnect":
            pass


class Answer(NamedTuple):
    """What the client receives, besides the headers that every answer has."""

    status: int
    headers: Mapping[str, str]
    body: bytes

"""One-time tickets: a browser cannot send a header with a WebSocket, and a token has no place in an address.

A ticket stands for the identity of the token that bought it, for at most `TICKET_SECONDS`, once, at any gateway.
"""

from __future__ import annotations

import re
import secrets

import msgspec

from bus.bus import BusUnavailable
from bus.signals import Signals
from chassis.errors import NotAuthenticated, Unavailable
from gateway.connection import Identity

TICKET_SECONDS = 30
_SHAPE = re.compile(r"[A-Za-z0-9_-]{32}")
_decode = msgspec.msgpack.Decoder(Identity).decode
_encode = msgspec.msgpack.Encoder().encode


class Tickets:
    """Tickets of all gateways."""

    def __init__(self, signals: Signals) -> None:
        self._signals = signals

    async def sell(self, identity: Identity) -> str:
        """A ticket for an identity. Raises `Unavailable`."""
        ticket = secrets.token_urlsafe(24)
        try:
            await self._signals.put(f"ticket.{ticket}", _encode(identity), TICKET_SECONDS)
        except BusUnavailable:
            raise Unavailable from None
        return ticket

    async def redeem(self, ticket: str) -> Identity:
        """The identity it stands for. Raises `NotAuthenticated` when unknown, used or expired, `Unavailable`."""
        if not _SHAPE.fullmatch(ticket):
            raise NotAuthenticated
        try:
            value = await self._signals.take(f"ticket.{ticket}")
        except BusUnavailable:
            raise Unavailable from None
        if value is None:
            raise NotAuthenticated
        return _decode(value)

"""One-time tickets for WebSockets: a browser cannot send headers with one, and a token must not be in a URL.

A ticket stands for the identity that requested it, once, for at most `TICKET_SECONDS`, at any gateway.
"""

from __future__ import annotations

import re
import secrets

import msgspec

from bus.bus import BusUnavailable
from bus.signals import Signals
from chassis.errors import NotAuthenticated, Unavailable
from gateway.identity.identity import Identity

TICKET_SECONDS = 30
_SHAPE = re.compile(r"[A-Za-z0-9_-]{32}")
_decode = msgspec.msgpack.Decoder(Identity).decode
_encode = msgspec.msgpack.Encoder().encode


class Tickets:
    """Issues and redeems tickets."""

    def __init__(self, signals: Signals) -> None:
        self._signals = signals

    async def issue(self, identity: Identity) -> str:
        """Issue a ticket for an identity. Raises `Unavailable`."""
        ticket = secrets.token_urlsafe(24)
        try:
            await self._signals.put(f"ticket.{ticket}", _encode(identity), TICKET_SECONDS)
        except BusUnavailable:
            raise Unavailable from None
        return ticket

    async def redeem(self, ticket: str) -> Identity:
        """The identity of a ticket. Raises `NotAuthenticated` if it is unknown, used or expired, and `Unavailable`."""
        if not _SHAPE.fullmatch(ticket):
            raise NotAuthenticated
        try:
            value = await self._signals.take(f"ticket.{ticket}")
        except BusUnavailable:
            raise Unavailable from None
        if value is None:
            raise NotAuthenticated
        return _decode(value)

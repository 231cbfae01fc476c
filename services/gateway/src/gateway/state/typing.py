"""Sends typing indicators to the other members of a channel, over signals, which may be lost, and at a limited rate."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec
import structlog

from bus.bus import BusUnavailable
from bus.signals import Signals
from bus.topics import partition_of
from chassis.backoff import retrying
from chassis.errors import NotFound
from chassis.rooms import NAMED_MEMBERS
from gateway.hub.hub import Hub
from gateway.model import Connection
from gateway.protocol.outgoing import Typing, encode
from gateway.wire.writer import Writer

log = structlog.get_logger()
INTERVAL_SECONDS = 1
"""Between two signals of one connection in one channel; those in between are dropped."""
WAITING = 1_000
"""Signals that may wait to be sent; more are dropped."""


class Typed(msgspec.Struct, frozen=True, array_like=True):
    """The signal."""

    tenant: str
    channel: str
    user: str
    head: int = 0
    """The sender's head of the channel. A gateway that is behind it may not know yet who was removed."""
    roster: int = 0
    """The sender's last roster change, likewise."""


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Typed).decode


class TypingSignals:
    """Typing indicators."""

    def __init__(self, hub: Hub, writer: Writer, signals: Signals, partitions: int, now: Callable[[], int]) -> None:
        self._hub = hub
        self._writer = writer
        self._signals = signals
        self._partitions = partitions
        self._now = now
        """The current second."""
        self._second = 0
        self._signalled: set[tuple[str, str]] = set()
        """Connections and channels that have sent a signal in this second."""
        self._waiting: asyncio.Queue[Typed] = asyncio.Queue(WAITING)

    def typed(self, connection: Connection, channel: str) -> None:
        """Signal that a user types, unless the channel is large. Raises `NotFound` if the user is not a member."""
        typed_in = connection.account.channels.get(channel)
        if typed_in is None:
            raise NotFound
        if typed_in.members > NAMED_MEMBERS:
            return
        if self._now() - self._second >= INTERVAL_SECONDS:
            self._second = self._now()
            self._signalled.clear()
        key = (connection.id, channel)
        if key in self._signalled or self._waiting.full():
            return
        self._signalled.add(key)
        account = connection.account
        self._waiting.put_nowait(Typed(account.tenant, channel, account.user, typed_in.head, typed_in.roster))

    async def send(self) -> None:
        """Send waiting signals, forever."""
        while True:
            typed = await self._waiting.get()
            try:
                await self._signals.send(self._name(partition_of(typed.channel, self._partitions)), _encode(typed))
            except BusUnavailable:
                log.debug("typing_dropped")

    async def listen(self) -> None:
        """Forward signals of every gateway to local members, forever."""
        names = [self._name(partition) for partition in range(self._partitions)]
        async for attempt in retrying(BusUnavailable):
            with attempt:
                async with self._signals.listen(names) as signals:
                    async for signal in signals:
                        self._received(signal.payload)

    def _received(self, payload: bytes) -> None:
        try:
            self._forward(_decode(payload))
        except msgspec.DecodeError:
            log.warning("typing_unreadable")

    def _forward(self, typed: Typed) -> None:
        channel = self._hub.channels.get(typed.channel)
        if channel is None or channel.tenant != typed.tenant or channel.members > NAMED_MEMBERS:
            return
        if channel.head < typed.head or channel.roster < typed.roster:
            return
        payload = encode(Typing(typed.channel, typed.user))
        others = [
            each
            for each in channel.open_connections()
            if each.account.user != typed.user and typed.user not in each.account.blocks
        ]
        self._writer.broadcast(others, payload)

    @staticmethod
    def _name(partition: int) -> str:
        return f"typing.{partition}"

"""Tells the other members of a channel that somebody types: through the signals, which may be lost, and at a modest pace."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable

import msgspec
import structlog

from bus.bus import BusUnavailable
from bus.signals import Signals
from bus.topics import partition_of
from chassis.errors import NotFound
from gateway.backoff import delays
from gateway.connection import Connection
from gateway.outbound.frames import Typing, encode
from gateway.outbound.hub import Hub
from gateway.outbound.outbox import Outbox

log = structlog.get_logger()
PACE_SECONDS = 1
"""Between two signals of one socket about one channel; those in between are dropped."""
WAITING = 1_000
"""Signals that may wait to be sent; more are dropped."""


class Typed(msgspec.Struct, frozen=True, array_like=True):
    """The signal."""

    tenant: str
    channel: str
    user: str
    head: int = 0
    """How far the typist's gateway knew the channel's log: whoever is behind that may not know yet who has been removed."""


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Typed).decode


class Typists:
    """Who types."""

    def __init__(self, hub: Hub, outbox: Outbox, signals: Signals, partitions: int, now: Callable[[], int]) -> None:
        self._hub = hub
        self._outbox = outbox
        self._signals = signals
        self._partitions = partitions
        self._now = now
        """The current second."""
        self._second = 0
        self._signalled: set[tuple[str, str]] = set()
        """Sockets and channels of the current pace."""
        self._waiting: asyncio.Queue[Typed] = asyncio.Queue(WAITING)

    def typed(self, connection: Connection, channel: str) -> None:
        """Tell the others. Raises `NotFound` for a channel in which the user is no member."""
        if channel not in connection.account.channels:
            raise NotFound
        if self._now() - self._second >= PACE_SECONDS:
            self._second = self._now()
            self._signalled.clear()
        key = (connection.id, channel)
        if key in self._signalled or self._waiting.full():
            return
        self._signalled.add(key)
        account = connection.account
        self._waiting.put_nowait(Typed(account.tenant, channel, account.user, account.channels[channel].head))

    async def send(self) -> None:
        """Send what waits, for ever."""
        while True:
            typed = await self._waiting.get()
            try:
                await self._signals.send(self._name(partition_of(typed.channel, self._partitions)), _encode(typed))
            except BusUnavailable:
                log.debug("typing_dropped")

    async def listen(self) -> None:
        """Tell the local members what any gateway signals, for ever."""
        names = [self._name(partition) for partition in range(self._partitions)]
        async for _attempt in delays(math.inf):  # until the bus is there; afterwards it never ends by itself
            try:
                async with self._signals.listen(names) as signals:
                    async for signal in signals:
                        self._hear(signal.payload)
            except BusUnavailable:
                log.debug("typing_not_heard")

    def _hear(self, payload: bytes) -> None:
        try:
            self._tell(_decode(payload))
        except msgspec.DecodeError:
            log.warning("typing_unreadable")

    def _tell(self, typed: Typed) -> None:
        channel = self._hub.channels.get(typed.channel)
        if channel is None or channel.tenant != typed.tenant or channel.head < typed.head:
            return
        frame = encode(Typing(typed.channel, typed.user))
        others = [each for each in channel.open_connections() if each.account.user != typed.user]
        self._outbox.broadcast(others, frame)

    @staticmethod
    def _name(partition: int) -> str:
        return f"typing.{partition}"

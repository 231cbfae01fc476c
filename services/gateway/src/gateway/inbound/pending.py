"""The commands whose outcome a socket awaits: from being accepted to `ack` or `error`.

An outcome is the event itself, a reply, or, after `PATIENCE_SECONDS` without either, `UNAVAILABLE`: the command may have been
stored, and the same key asks again without harm.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable
from itertools import takewhile
from typing import TypeAlias

from msgspec import UNSET

from chassis.errors import HubbubError, Unavailable, error_for
from gateway.connection import Connection
from gateway.metrics import ACK_SECONDS, COMMANDS, PENDING
from gateway.outbound.frames import Ack, Ref, encode, refusal
from gateway.outbound.outbox import Outbox
from hubbub.events.v1.events_pb2 import Event, Reply

PATIENCE_SECONDS = 10.0
EXPIRY_SECONDS = 0.5
"""How often commands that were awaited for longer are looked for."""
BOUND = 100_000
"""Commands that may be awaited at one time."""
REF_BYTES = 32 * 1024 * 1024
"""Bytes of their `ref`s."""

_acknowledged = COMMANDS.labels("acknowledged")
_duplicate = COMMANDS.labels("duplicate")
_refused = COMMANDS.labels("refused")
_unavailable = COMMANDS.labels("unavailable")


Awaited: TypeAlias = tuple[Connection, Ref, float]
"""Whose command it is, how it is named there, and since when (the clock's seconds) its outcome is awaited."""


class Pending:
    """All of them, oldest first."""

    def __init__(self, outbox: Outbox, connections: dict[str, Connection], clock: Callable[[], float] = time.monotonic) -> None:
        self._outbox = outbox
        self._connections = connections
        self._clock = clock
        self._awaited: dict[str, Awaited] = {}
        self._ref_bytes = 0

    def __len__(self) -> int:
        return len(self._awaited)

    def add(self, command: str, connection: Connection, ref: Ref) -> None:
        """Await a command's outcome. Raises `Unavailable` at the bound."""
        if len(self._awaited) >= BOUND or self._ref_bytes >= REF_BYTES:
            raise Unavailable("Too many commands are under way")
        self._awaited[command] = (connection, ref, self._clock())
        if ref is not UNSET:
            self._ref_bytes += len(ref)

    def stored(self, event: Event) -> None:
        """The command's event has come: it is stored."""
        awaited = self._pop(event.command)
        if awaited is not None:
            connection, ref, _ = awaited
            _acknowledged.inc()
            self._outbox.send(connection, encode(Ack(event.channel, event.seq, event.message, event.at, ref)))

    def replied(self, reply: Reply) -> None:
        """The command made no new event: it is a duplicate, or refused. Refused reads are answered though nobody awaits them."""
        awaited = self._pop(reply.command)
        if awaited is not None:
            connection, ref, _ = awaited
        elif reply.reason and (known := self._connections.get(reply.command.rpartition(".")[0])) is not None:
            connection, ref = known, UNSET
        else:
            return
        if reply.reason:
            _refused.inc()
            frame = refusal(error_for(reply.reason, reply.detail, reply.retry_after), ref)
        else:
            _duplicate.inc()
            duplicate = reply.duplicate or UNSET
            frame = encode(Ack(reply.channel, reply.seq, reply.message, reply.at, ref, duplicate))
        self._outbox.send(connection, frame)

    def failed(self, commands: Iterable[str], error: HubbubError) -> None:
        """The commands did not get onto their way, or nobody knows."""
        for command in commands:
            awaited = self._pop(command)
            if awaited is not None:
                connection, ref, _ = awaited
                _unavailable.inc()
                self._outbox.send(connection, refusal(error, ref))

    async def run(self) -> None:
        """Look for those, for ever."""
        while True:
            await asyncio.sleep(EXPIRY_SECONDS)
            self.expire()

    def expire(self) -> None:
        """Answer those that were awaited for too long."""
        late = self._clock() - PATIENCE_SECONDS
        overdue = list(takewhile(lambda command: self._awaited[command][2] <= late, self._awaited))
        self.failed(overdue, Unavailable("The outcome is not known; the same key may be sent again"))
        PENDING.set(len(self._awaited))

    def _pop(self, command: str) -> Awaited | None:
        awaited = self._awaited.pop(command, None)
        if awaited is not None:
            _, ref, since = awaited
            ACK_SECONDS.observe(self._clock() - since)
            if ref is not UNSET:
                self._ref_bytes -= len(ref)
        return awaited

"""Commands that await their outcome: from being accepted to `ack` or `error`.

An outcome is the command's event, a reply, or `UNAVAILABLE` after `TIMEOUT_SECONDS` without either: then the command may have
been stored, and the client can safely repeat it under the same key.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterable
from itertools import takewhile
from typing import TypeAlias

from msgspec import UNSET

from chassis.errors import HubbubError, RateLimited, Unavailable, error_for
from gateway.metrics import ACK_SECONDS, COMMANDS, PENDING
from gateway.model import Connection
from gateway.protocol.outgoing import Ack, Ref, encode, refusal
from gateway.wire.writer import Writer
from hubbub.events.v1.events_pb2 import Event, Reply

TIMEOUT_SECONDS = 10.0
EXPIRY_SECONDS = 0.5
"""Between two checks for commands past their timeout."""
BOUND = 100_000
"""Commands that may be pending at one time; half as many of one tenant."""
REF_BYTES = 32 * 1024 * 1024
"""Bytes of the pending commands' `ref`s."""

_acknowledged = COMMANDS.labels("acknowledged")
_duplicate = COMMANDS.labels("duplicate")
_refused = COMMANDS.labels("refused")
_unavailable = COMMANDS.labels("unavailable")


Awaited: TypeAlias = tuple[Connection, Ref, float]
"""The connection, the client's `ref`, and the time of acceptance (in seconds of the clock)."""


class Pending:
    """All pending commands, oldest first."""

    def __init__(self, writer: Writer, connections: dict[str, Connection], clock: Callable[[], float] = time.monotonic) -> None:
        self._writer = writer
        self._connections = connections
        self._clock = clock
        self._awaited: dict[str, Awaited] = {}
        self._ref_bytes = 0
        self._by_tenant: Counter[str] = Counter()
        """Number of pending commands."""
        self.outcomes = 0
        """How many commands had an outcome, since the start."""
        self.on_outcome: Callable[[str], None] = lambda _command: None
        """Called with the id of each command that is no longer pending."""

    def __len__(self) -> int:
        return len(self._awaited)

    def __contains__(self, command: object) -> bool:
        """Whether the command awaits its outcome."""
        return command in self._awaited

    def add(self, command: str, connection: Connection, ref: Ref) -> None:
        """Add a command. Raises `Unavailable` at the bound, and `RateLimited` at that of its tenant."""
        if len(self._awaited) >= BOUND or self._ref_bytes >= REF_BYTES:
            raise Unavailable("Too many commands are under way")
        tenant = connection.account.tenant
        if self._by_tenant[tenant] >= BOUND // 2:
            raise RateLimited("Too many commands of this tenant are under way")
        self._by_tenant[tenant] += 1
        self._awaited[command] = (connection, ref, self._clock())
        if ref is not UNSET:
            self._ref_bytes += len(ref)

    def stored(self, event: Event) -> None:
        """The command's event arrived: it is stored."""
        awaited = self._pop(event.command)
        if awaited is not None:
            connection, ref, _ = awaited
            self.outcomes += 1
            _acknowledged.inc()
            self._writer.send(connection, encode(Ack(event.channel, event.seq, event.message, event.at, ref)))

    def replied(self, reply: Reply) -> None:
        """The command is a duplicate, or was rejected. A rejected `read` is answered although it is not pending."""
        awaited = self._pop(reply.command)
        if awaited is not None:
            connection, ref, _ = awaited
            self.outcomes += 1
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
        self._writer.send(connection, frame)

    def failed(self, commands: Iterable[str], error: HubbubError) -> None:
        """The commands failed, or their outcome is unknown."""
        for command in commands:
            awaited = self._pop(command)
            if awaited is not None:
                connection, ref, _ = awaited
                _unavailable.inc()
                self._writer.send_unheld(connection, refusal(error, ref))

    async def run(self) -> None:
        """Expire commands, forever."""
        while True:
            await asyncio.sleep(EXPIRY_SECONDS)
            self.expire()

    def expire(self) -> None:
        """Answer commands that are past their timeout."""
        late = self._clock() - TIMEOUT_SECONDS
        overdue = list(takewhile(lambda command: self._awaited[command][2] <= late, self._awaited))
        self.failed(overdue, Unavailable("The outcome is not known; the same key may be sent again"))
        PENDING.set(len(self._awaited))

    def _pop(self, command: str) -> Awaited | None:
        awaited = self._awaited.pop(command, None)
        if awaited is not None:
            connection, ref, since = awaited
            tenant = connection.account.tenant
            self._by_tenant[tenant] -= 1
            if not self._by_tenant[tenant]:
                del self._by_tenant[tenant]
            ACK_SECONDS.observe(self._clock() - since)
            if ref is not UNSET:
                self._ref_bytes -= len(ref)
            self.on_outcome(command)
        return awaited

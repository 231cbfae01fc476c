"""One pipelined RESP3 connection to a Redis or Valkey server: the socket, matching replies to calls, and deadlines.

`redis_client` reconnects.

Price: about 250 lines of protocol code, without Sentinel or Cluster support. Gain: an entry published in a batch of 100 costs
1.7 to 2.0 µs of CPU, where redis-py needs 16 (docs/adr/0009), and calls keep their order, which redis-py's connection pool does
not guarantee. `tests/test_connection.py` guards the matching and the deadlines, `tests/test_redis_faults.py` the failures.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Self, cast
from urllib.parse import unquote, urlsplit

import hiredis

from bus.bus import BusUnavailable

Command = tuple[str | bytes | int, ...]
Push = Callable[[list[Any]], None]

_UNANSWERED_CALLS = 1_024
_UNSENT_BYTES = 8 * 1024 * 1024
_INCOMPLETE = object()


@dataclass(frozen=True, slots=True)
class Address:
    """A server's host and port, and the credentials to use."""

    host: str
    port: int
    database: int = 0
    user: str = "default"
    password: str | None = field(default=None, repr=False)
    tls: bool = False

    @classmethod
    def parse(cls, url: str) -> Self:
        """Read `redis://[user:password@]host[:port][/database]`, or `rediss://` for TLS. Raises ValueError."""
        parts = urlsplit(url)
        if parts.scheme not in {"redis", "rediss"} or not parts.hostname:
            raise ValueError("not a redis:// or rediss:// address")
        return cls(
            host=parts.hostname,
            port=parts.port or 6379,
            database=int(parts.path.strip("/") or 0),
            user=unquote(parts.username or "") or "default",
            password=unquote(parts.password) if parts.password else None,
            tls=parts.scheme == "rediss",
        )

    def handshake(self) -> list[Command]:
        """Return the first commands of a connection."""
        hello: Command = ("HELLO", 3) if self.password is None else ("HELLO", 3, "AUTH", self.user, self.password)
        return [hello, ("SELECT", self.database)]


class _Call:
    """Commands sent together, and the replies received so far."""

    __slots__ = ("answers", "deadline", "done", "expected")

    def __init__(self, expected: int, done: asyncio.Future[list[Any]], deadline: float) -> None:
        self.expected = expected
        self.done = done
        self.deadline = deadline
        """Loop time."""
        self.answers: list[Any] = []


class Connection(asyncio.Protocol):
    """Sends commands in call order and returns each call's replies.

    The first failure closes the connection: a missed deadline, an error reply or a lost socket. Every unanswered call then
    raises `BusUnavailable`, and the caller must open a new connection. Cancelling a call does not affect other calls.

    One timer serves the deadlines of all calls, because a timer per call would cost as much as the call itself.
    """

    def __init__(self, on_push: Push | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        """None before the socket is connected and after it is closed."""
        self._reader = hiredis.Reader(notEnoughData=_INCOMPLETE)
        self._calls: deque[_Call] = deque()
        """Calls without all their replies, oldest first."""
        self._timer: asyncio.TimerHandle | None = None
        """Fires at or before the earliest deadline."""
        self._on_push = on_push
        self._lost = asyncio.Event()
        self._buffered: list[bytes] = []
        """Packed commands that are written together with the next call."""
        self._write_paused = False
        """The socket's write buffer is full."""

    @classmethod
    async def open(cls, address: Address, seconds: float, *, scripts: Sequence[str] = (), on_push: Push | None = None) -> Self:
        """Connect, authenticate and load the Lua `scripts`, all within `seconds`. Raises BusUnavailable."""
        context = ssl.create_default_context() if address.tls else None
        connecting = asyncio.get_running_loop().create_connection(lambda: cls(on_push), address.host, address.port, ssl=context)
        try:
            async with asyncio.timeout(seconds):
                _, connection = await connecting
        except (OSError, TimeoutError) as error:
            raise BusUnavailable("cannot connect") from error
        loads: list[Command] = [("SCRIPT", "LOAD", script) for script in scripts]
        try:
            await connection.call([*address.handshake(), *loads], seconds)
        except BaseException:  # includes cancellation
            connection.close()
            raise
        return connection

    @property
    def closed(self) -> bool:
        """Whether the connection is closed, so that every further call fails."""
        return self._transport is None

    def close(self) -> None:
        """Close the socket. Unanswered calls raise BusUnavailable."""
        if self._transport is not None:
            self._transport.abort()
        self._fail("closed")

    async def wait_closed(self, seconds: float | None = None) -> None:
        """Return when the connection is closed, or after `seconds`."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._lost.wait()

    def send(self, commands: Sequence[Command], seconds: float, *, more: bool = False) -> asyncio.Future[list[Any]]:
        """Write `commands` in one write. The future yields their replies, error replies included, or raises after `seconds`.

        With `more`, the commands are buffered and written together with the next `send`, which must follow at once: a write is
        the most expensive step here. Raises BusUnavailable when nothing was sent.
        """
        if self._transport is None:
            raise BusUnavailable("not connected")
        if self._write_paused or len(self._calls) >= _UNANSWERED_CALLS:
            raise BusUnavailable("too much unanswered")
        call = _Call(len(commands), self._loop.create_future(), self._loop.time() + seconds)
        self._calls.append(call)
        if self._timer is None or call.deadline < self._timer.when():
            self._set_timer(call.deadline)
        packed = [*self._buffered, *map(_pack, commands)]
        self._buffered = packed if more else []
        if not more:
            self._transport.write(packed[0] if len(packed) == 1 else b"".join(packed))
        return call.done

    async def answer(self, sent: asyncio.Future[list[Any]]) -> list[Any]:
        """Wait for the future that `send` returned. Raises BusUnavailable, also for an error reply."""
        return self.checked(await sent)

    def checked(self, answers: list[Any]) -> list[Any]:
        """Return `answers`. If one is an error reply, close the connection and raise BusUnavailable."""
        for reply in answers:
            if isinstance(reply, hiredis.ReplyError):
                self.close()
                raise BusUnavailable(_code(reply)) from reply
        return answers

    async def call(self, commands: Sequence[Command], seconds: float) -> list[Any]:
        """Send `commands` and wait up to `seconds` for the replies. Raises BusUnavailable, also for an error reply."""
        return await self.answer(self.send(commands, seconds))

    def send_unanswered(self, command: Command) -> None:
        """Send a command whose only replies are pushes (SUBSCRIBE). Raises BusUnavailable."""
        if self._transport is None:
            raise BusUnavailable("not connected")
        self._transport.write(_pack(command))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Store the transport (called by asyncio)."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=_UNSENT_BYTES)

    def connection_lost(self, exc: Exception | None) -> None:
        """Fail all calls (called by asyncio)."""
        del exc
        self._fail("connection lost")

    def pause_writing(self) -> None:
        """Refuse further calls (called by asyncio)."""
        self._write_paused = True

    def resume_writing(self) -> None:
        """Accept calls again (called by asyncio)."""
        self._write_paused = False

    def data_received(self, data: bytes) -> None:
        """Pass replies to their calls and pushes to the listener (called by asyncio)."""
        try:
            self._reader.feed(data)
            while (reply := self._reader.gets()) is not _INCOMPLETE:
                self._take(reply)
        except hiredis.ProtocolError:
            self.close()

    def _take(self, reply: Any) -> None:
        if isinstance(reply, hiredis.PushNotification):
            if self._on_push is not None:
                self._on_push(reply)
            return
        if not self._calls:  # a reply without a call: the stream is out of step
            self.close()
            return
        call = self._calls[0]
        call.answers.append(reply)
        if len(call.answers) == call.expected:
            self._calls.popleft()
            if not call.done.done():
                call.done.set_result(call.answers)

    def _set_timer(self, deadline: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(deadline, self._check_deadlines)

    def _check_deadlines(self) -> None:
        """Close if the earliest deadline has passed, else set the timer for it."""
        self._timer = None
        earliest = min((call.deadline for call in self._calls), default=None)
        if earliest is None:
            return
        if earliest > self._loop.time():
            self._set_timer(earliest)
        elif self._transport is not None:
            self._transport.abort()
            self._fail("no answer in time")

    def _fail(self, why: str) -> None:
        self._transport = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._lost.set()
        while self._calls:
            done = self._calls.popleft().done
            if not done.done():
                done.set_exception(BusUnavailable(why))


def _pack(command: Command) -> bytes:
    return cast("bytes", hiredis.pack_command(command))  # type: ignore[arg-type] # its stub declares a 1-tuple


def _code(error: hiredis.ReplyError) -> str:
    """Return the first word of an error reply. The rest may quote the command."""
    return str(error).split(" ", 1)[0]

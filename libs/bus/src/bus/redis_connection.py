"""One pipelined RESP3 connection to a Redis or Valkey server.

Owns the socket, the order of answers and their deadlines. Leaves reconnecting to `redis_link` and meaning to whoever calls.
It exists beside redis-py because a batch costs a seventh of the CPU this way (measured: `docs/adr/0009`).
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
_NOTHING = object()


@dataclass(frozen=True, slots=True)
class Address:
    """Where a server is and how to introduce oneself."""

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

    def greeting(self) -> list[Command]:
        """Commands that begin a connection."""
        hello: Command = ("HELLO", 3) if self.password is None else ("HELLO", 3, "AUTH", self.user, self.password)
        return [hello, ("SELECT", self.database)]


class _Call:
    """Some commands sent together, and the answers they wait for."""

    __slots__ = ("answers", "deadline", "done", "expected")

    def __init__(self, expected: int, done: asyncio.Future[list[Any]], deadline: float) -> None:
        self.expected = expected
        self.done = done
        self.deadline = deadline
        """Loop time."""
        self.answers: list[Any] = []


class Connection(asyncio.Protocol):
    """Sends commands in the order of the calls and hands each call its answers.

    It is used until the first trouble: a call past its deadline, an answer that is an error, a lost socket. Then it closes,
    every unanswered call raises `BusUnavailable`, and a new connection must be opened. A cancelled call does no harm.

    One timer watches the deadlines of all calls and is set anew when it has run out: one for each would cost as much as the call.
    """

    def __init__(self, on_push: Push | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        """None before the socket is there and after it is gone."""
        self._reader = hiredis.Reader(notEnoughData=_NOTHING)
        self._calls: deque[_Call] = deque()
        """Sent and not yet fully answered, oldest first."""
        self._watch: asyncio.TimerHandle | None = None
        """Goes off at the earliest deadline of a call, or before it."""
        self._on_push = on_push
        self._lost = asyncio.Event()
        self._held: list[bytes] = []
        """Commands that go with the next."""
        self._full = False
        """The server does not read as fast as we write."""

    @classmethod
    async def open(cls, address: Address, seconds: float, *, scripts: Sequence[str] = (), on_push: Push | None = None) -> Self:
        """Connect, introduce oneself and teach the server `scripts` (Lua), all within `seconds`. Raises BusUnavailable."""
        context = ssl.create_default_context() if address.tls else None
        connecting = asyncio.get_running_loop().create_connection(lambda: cls(on_push), address.host, address.port, ssl=context)
        try:
            async with asyncio.timeout(seconds):
                _, connection = await connecting
        except (OSError, TimeoutError) as error:
            raise BusUnavailable("cannot connect") from error
        lessons: list[Command] = [("SCRIPT", "LOAD", script) for script in scripts]
        try:
            await connection.call([*address.greeting(), *lessons], seconds)
        except BaseException:  # cancelled, too
            connection.close()
            raise
        return connection

    @property
    def closed(self) -> bool:
        """No call can succeed any more."""
        return self._transport is None

    def close(self) -> None:
        """Drop the socket; unanswered calls raise BusUnavailable."""
        if self._transport is not None:
            self._transport.abort()
        self._gone("closed")

    async def wait_closed(self, seconds: float | None = None) -> None:
        """Return when the connection is closed, or after `seconds`."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._lost.wait()

    def send(self, commands: Sequence[Command], seconds: float, *, more: bool = False) -> asyncio.Future[list[Any]]:
        """Write `commands` now, in one piece; the future brings their answers within `seconds`, errors among them, or raises.

        With `more` they go in one piece with the next, which must be sent at once: a write costs more than all else that is done
        here. Raises BusUnavailable, then nothing was sent.
        """
        if self._transport is None:
            raise BusUnavailable("not connected")
        if self._full or len(self._calls) >= _UNANSWERED_CALLS:
            raise BusUnavailable("too much unanswered")
        call = _Call(len(commands), self._loop.create_future(), self._loop.time() + seconds)
        self._calls.append(call)
        if self._watch is None or call.deadline < self._watch.when():
            self._watch_until(call.deadline)
        packed = [*self._held, *map(_pack, commands)]
        self._held = packed if more else []
        if not more:
            self._transport.write(packed[0] if len(packed) == 1 else b"".join(packed))
        return call.done

    async def answer(self, sent: asyncio.Future[list[Any]]) -> list[Any]:
        """Wait for what `send` returned. Raises BusUnavailable, also when an answer is an error."""
        return self.checked(await sent)

    def checked(self, answers: list[Any]) -> list[Any]:
        """Return answers that came. Raises BusUnavailable, and closes, when one is an error."""
        for reply in answers:
            if isinstance(reply, hiredis.ReplyError):
                self.close()
                raise BusUnavailable(_code(reply)) from reply
        return answers

    async def call(self, commands: Sequence[Command], seconds: float) -> list[Any]:
        """Send and wait, at most `seconds`. Raises BusUnavailable, also when an answer is an error."""
        return await self.answer(self.send(commands, seconds))

    def post(self, command: Command) -> None:
        """Send a command that is answered by pushes only (SUBSCRIBE). Raises BusUnavailable."""
        if self._transport is None:
            raise BusUnavailable("not connected")
        self._transport.write(_pack(command))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin (asyncio calls this)."""
        self._transport = cast("asyncio.Transport", transport)
        self._transport.set_write_buffer_limits(high=_UNSENT_BYTES)

    def connection_lost(self, exc: Exception | None) -> None:
        """End (asyncio calls this)."""
        del exc
        self._gone("connection lost")

    def pause_writing(self) -> None:
        """Refuse calls (asyncio calls this)."""
        self._full = True

    def resume_writing(self) -> None:
        """Accept calls (asyncio calls this)."""
        self._full = False

    def data_received(self, data: bytes) -> None:
        """Hand answers to their calls and pushes to their listener (asyncio calls this)."""
        try:
            self._reader.feed(data)
            while (reply := self._reader.gets()) is not _NOTHING:
                self._take(reply)
        except hiredis.ProtocolError:
            self.close()

    def _take(self, reply: Any) -> None:
        if isinstance(reply, hiredis.PushNotification):
            if self._on_push is not None:
                self._on_push(reply)
            return
        if not self._calls:  # a call was answered twice: the stream of answers is out of step
            self.close()
            return
        call = self._calls[0]
        call.answers.append(reply)
        if len(call.answers) == call.expected:
            self._calls.popleft()
            if not call.done.done():
                call.done.set_result(call.answers)

    def _watch_until(self, deadline: float) -> None:
        if self._watch is not None:
            self._watch.cancel()
        self._watch = self._loop.call_at(deadline, self._look)

    def _look(self) -> None:
        """Close when a call is past its deadline; else come back for the next one's."""
        self._watch = None
        earliest = min((call.deadline for call in self._calls), default=None)
        if earliest is None:
            return
        if earliest > self._loop.time():
            self._watch_until(earliest)
        elif self._transport is not None:
            self._transport.abort()
            self._gone("no answer in time")

    def _gone(self, why: str) -> None:
        self._transport = None
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        self._lost.set()
        while self._calls:
            done = self._calls.popleft().done
            if not done.done():
                done.set_exception(BusUnavailable(why))


def _pack(command: Command) -> bytes:
    return cast("bytes", hiredis.pack_command(command))  # type: ignore[arg-type] # its stub says tuple of one


def _code(error: hiredis.ReplyError) -> str:
    """The first word of an error answer: the rest may quote what was sent."""
    return str(error).split(" ", 1)[0]

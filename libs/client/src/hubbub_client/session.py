"""One connection from `hello` to its end: heartbeat, sync, outbox, token renewal, and where each frame goes."""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

from hubbub_client.commands import Commands
from hubbub_client.connection import Closed, Connection
from hubbub_client.errors import HubbubError
from hubbub_client.feed import Feed
from hubbub_client.outbox import Outbox
from hubbub_client.progress import Progress
from hubbub_client.settings import Settings
from hubbub_client.sync import Sync
from hubbub_client.tokens import Tokens, renewal_seconds
from hubbub_client.updates import SIGNALS, Event, Joined, Left, Reset, Signal

_SYNC_REF = "sync"
"""One sync is unanswered at a time, so they need no numbers."""
_SYNC_AGAIN_SECONDS = 1.0
_RENEW_AGAIN_SECONDS = 30.0
_PING_SHARE = 0.8
"""Of the heartbeat interval."""
_STATUSES = frozenset({"online", "away", "dnd", "offline"})


@dataclass(slots=True)
class Wishes:
    """What the application wants the server to know; said again on every connection."""

    status: str = "online"
    watched: list[str] | None = None
    """Users whose presence it wants; None if it never asked."""
    reads: dict[str, int] = field(default_factory=dict)
    """Read positions that were not sent yet."""

    def frames(self) -> list[dict[str, Any]]:
        """The frames for a new connection."""
        found: list[dict[str, Any]] = []
        if self.status != "online":
            found.append({"type": "status", "status": self.status})
        if self.watched:
            found.append({"type": "watch", "users": self.watched})
        found += [{"type": "read", "channel": channel, "seq": seq} for channel, seq in self.reads.items()]
        self.reads.clear()
        return found


@dataclass(frozen=True, slots=True)
class Parts:
    """What outlives a connection."""

    settings: Settings
    tokens: Tokens
    sync: Sync
    progress: Progress
    outbox: Outbox
    feed: Feed
    wishes: Wishes


class Session:
    """One connection after its `hello`."""

    def __init__(self, connection: Connection, hello: Mapping[str, Any], parts: Parts, token: str) -> None:
        self.hello = hello
        self._connection = connection
        self._parts = parts
        self._token = token
        self._commands = Commands()
        self._sync_news = asyncio.Event()
        """Set when a `sync` may have to be sent."""
        self._sync_pause = 0.0
        """Seconds before the next `sync`."""
        self._ping_seconds: float = hello["heartbeat_seconds"] * _PING_SHARE
        self._stopping: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        """The server stops: seconds until this client should leave."""
        self._takers: dict[str, Callable[[Mapping[str, Any]], None]] = {
            "synced": self._synced,
            "ack": self._answer,
            "token": self._answer,
            "error": self._error,
            "joined": self._joined,
            "left": self._left,
            "reconnect": self._reconnect,
        }
        """Methods for frames, by type."""

    async def run(self) -> NoReturn:
        """Serve the connection. Raises Closed at its end."""
        sync = self._parts.sync
        updates = sync.hello(self.hello)
        self._parts.progress.connected(sync.epoch or "", sync.positions, updates)
        self._tell(updates)
        try:
            async with asyncio.TaskGroup() as group:
                loops = (self._receive, self._heartbeat, self._watch, self._ask, self._speak, self._renew, self._leave)
                for loop in loops:
                    group.create_task(loop())
        except BaseExceptionGroup as errors:
            others = errors.subgroup(lambda error: not isinstance(error, Closed | BaseExceptionGroup))
            if others is not None:
                raise others.exceptions[0] from None
            raise _first(errors) from None
        finally:
            self._commands.closed()
            self._parts.outbox.closed()
        raise AssertionError  # the loops end with an exception only

    async def request(self, frame: Mapping[str, Any]) -> Mapping[str, Any]:
        """Send a frame and wait for its answer. Raises Refused, NoAnswer, Closed."""
        return await self._commands.request(self._connection.send, frame)

    async def send(self, frame: Mapping[str, Any]) -> None:
        """Send a frame that has no answer. Raises Closed."""
        await self._connection.send(frame)

    def room(self) -> None:
        """The application reads again: ask for what found no room."""
        self._parts.sync.resume()
        self._sync_news.set()

    async def _receive(self) -> NoReturn:
        while True:
            frame, size = await self._connection.receive()
            kind = frame["type"]
            if kind == "event":
                self._event(frame, size)
            elif kind in SIGNALS:
                self._signal(frame, size)
            elif (take := self._takers.get(kind)) is not None:
                take(frame)
            # Any other is of a newer server.

    def _event(self, frame: dict[str, Any], size: int) -> None:
        sync, channel, seq = self._parts.sync, frame["channel"], frame["seq"]
        if sync.next(channel, seq):
            event = Event(channel, seq, frame["kind"], frame["actor"], frame["at"], frame["data"])
            if self._parts.feed.offer(event, size):
                sync.delivered(channel, seq)
            else:
                sync.pause(channel)
        self._sync_news.set()

    def _signal(self, frame: Mapping[str, Any], size: int) -> None:
        fields = {name: value for name, value in frame.items() if name != "type"}
        if frame["type"] == "presence" and fields.get("status") not in _STATUSES:
            fields["status"] = "online"
        self._parts.feed.offer(Signal(frame["type"], fields), size)

    def _answer(self, frame: Mapping[str, Any]) -> None:
        if not self._parts.outbox.acked(frame):
            self._commands.answered(frame)

    def _error(self, frame: Mapping[str, Any]) -> None:
        if frame.get("ref") == _SYNC_REF:
            self._sync_pause = frame.get("retry_after") or _SYNC_AGAIN_SECONDS
            self._parts.sync.unanswered()
            self._sync_news.set()
        elif not self._parts.outbox.refused(frame):
            self._commands.answered(frame)

    def _synced(self, frame: Mapping[str, Any]) -> None:
        self._tell(self._parts.sync.synced(frame["channels"]))

    def _joined(self, frame: Mapping[str, Any]) -> None:
        self._tell(self._parts.sync.joined(frame["channel"]))

    def _left(self, frame: Mapping[str, Any]) -> None:
        self._tell(self._parts.sync.left(frame["channel"]))

    def _reconnect(self, frame: Mapping[str, Any]) -> None:
        if not self._stopping.done():
            self._stopping.set_result(frame["after_ms"] / 1000)

    def _tell(self, updates: Sequence[Reset | Joined | Left]) -> None:
        for update in updates:
            self._parts.feed.insist(update.channel, update)
        self._sync_news.set()

    async def _ask(self) -> NoReturn:
        """Send every `sync`. The first one opens the flow."""
        while True:
            await asyncio.sleep(self._sync_pause)
            self._sync_pause = 0.0
            self._sync_news.clear()
            frame = self._parts.sync.request()
            if frame is not None:
                await self._connection.send({**frame, "ref": _SYNC_REF})
            await self._sync_news.wait()

    async def _speak(self) -> NoReturn:
        """Send what the application wants the server to know, and the messages of the outbox."""
        for frame in self._parts.wishes.frames():
            await self._connection.send(frame)
        while True:
            item = await self._parts.outbox.next()
            await self._connection.send(item.frame)

    async def _heartbeat(self) -> NoReturn:
        """Ping within the server's interval."""
        while True:
            await asyncio.sleep(self._ping_seconds)
            await self._connection.send({"type": "ping"})

    async def _watch(self) -> NoReturn:
        """Give up a server that does not answer: a half-open connection does not end by itself."""
        patience = self._ping_seconds + self._parts.settings.answer_seconds
        while (left := self._connection.heard + patience - time.monotonic()) > 0:  # noqa: ASYNC110 - no event tells of silence
            await asyncio.sleep(left)
        raise Closed(1006, "the server does not answer")

    async def _renew(self) -> NoReturn:
        """Present a fresh token before the current one ends. A failure costs a reconnect: the server closes with 4001."""
        token, tokens = self._token, self._parts.tokens
        while True:
            due = renewal_seconds(token)
            await asyncio.sleep(3600.0 if due is None else due)
            if due is None:
                continue
            try:
                fresh = await tokens.fresh()
                async with asyncio.timeout(self._parts.settings.answer_seconds):
                    await self.request({"type": "token", "token": fresh})
                token = fresh
            except (HubbubError, TimeoutError):
                await asyncio.sleep(min(_RENEW_AGAIN_SECONDS, due))

    async def _leave(self) -> NoReturn:
        """Leave a server that stops, at the time that it named."""
        after_seconds = await self._stopping
        await asyncio.sleep(after_seconds)
        raise Closed(1012, "the server asked to reconnect", moved=True)


def _first(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    first = errors.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first

"""The client as one object: it stays connected, keeps every channel complete, and sends what the application wants to say."""

import asyncio
import itertools
import logging
import ssl
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Literal, NoReturn, Self

from hubbub_client.api import Api
from hubbub_client.backoff import Backoff
from hubbub_client.connection import Closed, Connection, Rejected, Tap, connect, encode
from hubbub_client.errors import Ended, NoAnswer, Refused
from hubbub_client.feed import Feed
from hubbub_client.keys import new_key
from hubbub_client.outbox import Outbox, Outgoing
from hubbub_client.progress import Progress
from hubbub_client.session import Parts, Session, Wishes
from hubbub_client.settings import Settings
from hubbub_client.sync import Start, Sync
from hubbub_client.tokens import Tokens, TokenSource
from hubbub_client.updates import Checkpoint, Stored, Update

_log = logging.getLogger("hubbub_client")
_FRAME_BYTES = 64 << 10
"""The largest frame before the first `hello` names the limit."""
_FLOODING, _FLOODING_SECONDS = 4004, 5.0
_UNAUTHORIZED = 401
_PASSING = frozenset({408, 425, 429, 500, 502, 503, 504})
"""Statuses of a refused handshake after which another attempt may succeed."""
_MOVE_SECONDS = 1.0
"""A server that asks to reconnect sooner than this after the connection is left with backoff."""
_FINAL = range(4500, 5000)
"""Close codes after which a client does not connect again, known or not."""


class Client:
    """One user's connection. Use it as an async context manager, and iterate over it for updates.

    It belongs to one event loop; other threads use `hubbub_client.threads.Client`.
    """

    def __init__(
        self,
        url: str | Sequence[str],
        token: TokenSource,
        *,
        checkpoint: Checkpoint | None = None,
        start: Start = "head",
        settings: Settings | None = None,
        tls: ssl.SSLContext | None = None,
        tap: Tap | None = None,
    ) -> None:
        """`url` is the server's origin; of several, each connection takes the next one.

        `token` is called whenever a token is needed. `checkpoint` continues where an earlier client stopped.
        `start` says where channels without a position begin: with what happens from now on, or at their first entry.
        `tls` replaces the default verification. `tap` sees every frame.
        """
        urls = [each.rstrip("/") for each in ([url] if isinstance(url, str) else url)]
        self._settings = settings or Settings()
        self._urls: Iterator[str] = itertools.cycle(urls)
        self._url = urls[0]
        """The server of the connection, and of the HTTP API."""
        self._tokens = Tokens(token, self._settings.answer_seconds)
        self._sync = Sync(start, checkpoint)
        self._outbox = Outbox(self._settings.outbox_bytes, self._settings.answer_seconds)
        self._feed = Feed(self._settings.feed_bytes, self._room)
        self._wishes = Wishes()
        self._progress = Progress(checkpoint)
        self._reading: Update | None = None
        """What it works on."""
        self._tls = tls
        self._tap = tap
        self._session: Session | None = None
        self._changed = asyncio.Condition()
        """Notified when a connection opens or the client ends."""
        self._ended: Ended | None = None
        self._running: asyncio.Task[None] | None = None
        self.hello: Mapping[str, Any] = {}
        """The latest `hello`: the user, the limits, the channels at that moment."""
        self.api = Api(lambda: self._url, self._tokens, self._settings, tls)
        """The HTTP API: channels, history, members, uploads."""

    async def __aenter__(self) -> Self:
        await self.api.open()
        self._running = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        await self.close()

    async def close(self) -> None:
        """Disconnect. What waits in the outbox is given up; sends that wait raise Ended."""
        await self._end(Ended(1000, "closed"))
        if self._running is not None:
            self._running.cancel()
            await asyncio.wait([self._running])
        await self.api.close()

    def __aiter__(self) -> AsyncIterator[Update]:
        return self

    async def __anext__(self) -> Update:
        """Wait for the next update. Raises Ended when the client has ended for good, StopAsyncIteration after `close`."""
        self._finish()
        try:
            self._reading = await self._feed.take()
        except Ended as ended:
            if ended.code == 1000:  # noqa: PLR2004 - closed by the application
                raise StopAsyncIteration from None
            raise
        return self._reading

    def checkpoint(self) -> Checkpoint | None:
        """How far the application has read: all updates before the one it got last. None before the first connection."""
        return self._progress.checkpoint()

    @property
    def user(self) -> str:
        """The id of the user whom the token names; empty before the first connection."""
        user: str = self.hello.get("user", "")
        return user

    @property
    def connected(self) -> bool:
        """Whether there is a connection at the moment."""
        return self._session is not None

    async def opened(self, within: float | None = None) -> None:
        """Wait until there is a connection. Raises NoAnswer after `within` seconds (default: answer_seconds), Ended."""
        await self._open(self._settings.answer_seconds if within is None else within)

    async def send(
        self,
        channel: str,
        text: str | None = None,
        *,
        thread: str | None = None,
        attachments: Sequence[str] = (),
        mentions: Sequence[str] = (),
        sealed: str | None = None,
        blocks: Sequence[Mapping[str, Any]] = (),
        key: str | None = None,
        within: float | None = None,
    ) -> Stored:
        """Post a message, and return when the server has stored it, reconnects included.

        Raises Refused; NoAnswer after `within` seconds (default: send_seconds): the message may be stored, and sending it again
        with the same `key` cannot make a second one. Raises OutboxFull, Ended. Cancelling is like NoAnswer.
        """
        item = self.submit(
            channel, text, thread=thread, attachments=attachments, mentions=mentions, sealed=sealed, blocks=blocks, key=key
        )
        try:
            async with asyncio.timeout(self._settings.send_seconds if within is None else within):
                return await item.stored
        except TimeoutError:
            raise NoAnswer(f"the message {item.key} was not acknowledged in time") from None
        finally:
            self._outbox.discard(item.key)

    def submit(
        self,
        channel: str,
        text: str | None = None,
        *,
        thread: str | None = None,
        attachments: Sequence[str] = (),
        mentions: Sequence[str] = (),
        sealed: str | None = None,
        blocks: Sequence[Mapping[str, Any]] = (),
        key: str | None = None,
    ) -> Outgoing:
        """Put a message into the outbox and return at once. It stays there until the server has stored or refused it.

        The result's `stored` is a future of the outcome. Raises Refused (TOO_LARGE), OutboxFull, Ended.
        """
        self._still_running()
        key = key or new_key()
        frame: dict[str, Any] = {"type": "send", "ref": key, "channel": channel, "key": key}
        given: dict[str, Any] = {"text": text, "sealed": sealed, "thread": thread}
        given |= {"attachments": list(attachments), "mentions": list(mentions), "blocks": list(blocks)}
        frame |= {name: value for name, value in given.items() if value or (name == "text" and value is not None)}
        size = len(encode(frame).encode())
        limit = self.hello.get("limits", {}).get("frame_bytes", _FRAME_BYTES)
        if size > limit:  # the server would close the connection, again and again
            raise Refused("TOO_LARGE", f"the frame has {size} bytes, {limit} are allowed")
        item = Outgoing(frame, size, asyncio.get_running_loop().create_future())
        item.stored.add_done_callback(_retrieved)
        self._outbox.add(item)
        return item

    async def edit(self, channel: str, message: str, text: str, *, blocks: Sequence[Mapping[str, Any]] = ()) -> Stored:
        """Replace the content of the user's own message. Raises Refused, NoAnswer, Ended, as all commands below."""
        return await self._command("edit", channel, message, text=text, **({"blocks": list(blocks)} if blocks else {}))

    async def delete(self, channel: str, message: str) -> Stored:
        """Delete a message."""
        return await self._command("delete", channel, message)

    async def react(self, channel: str, message: str, emoji: str, *, remove: bool = False) -> Stored:
        """Add or remove one of the user's reactions."""
        return await self._command("react", channel, message, emoji=emoji, remove=remove)

    async def pin(self, channel: str, message: str, *, remove: bool = False) -> Stored:
        """Pin or unpin a message."""
        return await self._command("pin", channel, message, remove=remove)

    async def read(self, channel: str, seq: int) -> None:
        """Mark the channel as read up to `seq`; without a connection it is sent on the next one."""
        if not await self._say({"type": "read", "channel": channel, "seq": seq}):
            self._wishes.reads[channel] = max(seq, self._wishes.reads.get(channel, 0))

    async def typing(self, channel: str) -> None:
        """Tell the other members that the user is typing. Best effort."""
        await self._say({"type": "typing", "channel": channel})

    async def watch(self, users: Sequence[str]) -> None:
        """Replace the users whose presence comes as Signal `presence`, now and on every later connection."""
        self._wishes.watched = list(users)
        await self._say({"type": "watch", "users": self._wishes.watched})

    async def set_status(self, status: Literal["online", "away", "dnd"]) -> None:
        """Set how this client counts towards the user's presence, now and on every later connection."""
        self._wishes.status = status
        await self._say({"type": "status", "status": status})

    async def _command(self, kind: str, channel: str, message: str, **fields: Any) -> Stored:
        frame = {"type": kind, "channel": channel, "message": message, **fields}
        try:
            async with asyncio.timeout(self._settings.answer_seconds):
                session = await self._open(self._settings.answer_seconds)
                return Stored.of(await session.request(frame))
        except (TimeoutError, Closed):
            raise NoAnswer(f"no answer to {kind}: it may have been done") from None

    async def _say(self, frame: Mapping[str, Any]) -> bool:
        """Send a frame without an answer; False without a connection."""
        self._still_running()
        if self._session is None:
            return False
        try:
            async with asyncio.timeout(self._settings.answer_seconds):
                await self._session.send(frame)
        except (TimeoutError, Closed):
            return False
        return True

    async def _open(self, within: float) -> Session:
        try:
            async with asyncio.timeout(within), self._changed:
                await self._changed.wait_for(lambda: self._session is not None or self._ended is not None)
        except TimeoutError:
            raise NoAnswer("not connected") from None
        self._still_running()
        if self._session is None:
            raise NoAnswer("not connected")
        return self._session

    def _still_running(self) -> None:
        if self._ended is not None:
            raise Ended(self._ended.code, self._ended.reason) from self._ended.__cause__

    async def _run(self) -> None:
        """Stay connected until the client ends."""
        try:
            await self._stay_connected()
        except Ended as ended:
            await self._end(ended)
        except Exception as error:  # noqa: BLE001 - the outermost handler: the application gets it
            failed = Ended(1011, "the client failed, or the server sent a malformed frame")
            failed.__cause__ = error
            await self._end(failed)

    async def _stay_connected(self) -> NoReturn:
        backoff = Backoff(self._settings.backoff_seconds, self._settings.backoff_max_seconds)
        unauthorized = 0
        while True:
            began, wait = asyncio.get_running_loop().time(), 0.0
            moved = False
            try:
                await self._connect()
            except Closed as closed:
                if closed.code in _FINAL:
                    raise Ended(closed.code, closed.reason) from None
                wait = _FLOODING_SECONDS if closed.code == _FLOODING else 0.0
                moved = closed.moved
                unauthorized = 0
                _log.info("disconnected", extra={"code": closed.code})
            except Rejected as rejected:
                unauthorized = unauthorized + 1 if rejected.status == _UNAUTHORIZED else 0
                # A first 401 may be a token that ended on its way; the next attempt has a fresh one.
                if unauthorized > 1 or rejected.status not in _PASSING | {_UNAUTHORIZED}:
                    raise Ended(rejected.status, "the server refused the connection") from None
                wait = rejected.retry_after
            except NoAnswer:
                _log.warning("no_token")
            lasted = asyncio.get_running_loop().time() - began
            if lasted >= self._settings.stable_seconds:
                backoff.reset()
            if not (moved and lasted >= _MOVE_SECONDS):
                await asyncio.sleep(wait + backoff.next())

    async def _connect(self) -> NoReturn:
        """Serve one connection. Raises Closed, Rejected, NoAnswer, Ended."""
        self._url = next(self._urls)
        token = await self._tokens.fresh()
        async with connect(self._url, token, self._settings.open_seconds, self._tls, self._tap) as connection:
            hello = await self._hello(connection)
            if self.hello and (hello["tenant"], hello["user"]) != (self.hello["tenant"], self.hello["user"]):
                raise Ended(_UNAUTHORIZED, "the token belongs to another user")
            if self.hello and hello.get("epoch") != self.hello.get("epoch"):
                self._outbox.lost()
            self.hello = hello
            parts = Parts(self._settings, self._tokens, self._sync, self._progress, self._outbox, self._feed, self._wishes)
            session = Session(connection, hello, parts, token)
            try:
                async with self._changed:
                    self._session = session
                    self._changed.notify_all()
                await session.run()
            finally:
                self._session = None

    async def _hello(self, connection: Connection) -> Mapping[str, Any]:
        try:
            async with asyncio.timeout(self._settings.open_seconds):
                while True:
                    frame, _ = await connection.receive()
                    if frame["type"] == "hello":
                        return frame
        except TimeoutError:
            raise Closed(1006, "no hello") from None

    async def _end(self, ended: Ended) -> None:
        if self._ended is not None:
            return
        self._ended = ended
        self._feed.end(ended)
        self._outbox.end(ended)
        async with self._changed:
            self._changed.notify_all()

    def _room(self) -> None:
        if self._session is not None:
            self._session.room()

    def _finish(self) -> None:
        """The application asks for the next update, so it has finished with the one before."""
        done, self._reading = self._reading, None
        if done is not None:
            self._progress.finished(done)


def _retrieved(stored: "asyncio.Future[Stored]") -> None:
    """Keep asyncio from complaining about an outcome that the application does not look at."""
    if not stored.cancelled():
        stored.exception()

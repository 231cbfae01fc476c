"""The WebSocket client: one connection. Every frame is checked against the protocol and the AsyncAPI document, and kept.

`follower` reconnects and resumes.
"""

import asyncio
import contextlib
import itertools
import json
import socket
from collections.abc import AsyncIterator, Callable
from typing import Any, Literal

import websockets
from websockets.asyncio.client import ClientConnection
from websockets.typing import Subprotocol

from tests.client import asyncapi, shapes
from tests.client.api import Api
from tests.client.socketio import PATH, Refused, SocketIoConnection

Frame = dict[str, Any]
Door = Literal["native", "socketio"]
door: Door = "native"
"""Through which connections are made; the fixture `door` sets it for a test."""
Way = Literal["header", "ticket", "protocol"]
_OPEN_SECONDS = 10.0
_REPLY_SECONDS = 10.0


class Refusal(Exception):
    """The upgrade was answered with a status other than 101."""

    def __init__(self, status: int, headers: websockets.Headers, body: bytes) -> None:
        super().__init__(status, body)
        self.status = status
        self.headers = headers
        self.body = body


class Closed(Exception):
    """The server ended the connection."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code
        """The close code; 1006 where the connection broke."""


class Socket:
    """One open connection. Frames are kept in order; `expect` takes the first that matches and leaves the others."""

    def __init__(self, connection: ClientConnection | SocketIoConnection, seen: Callable[[Frame], None] | None) -> None:
        self._connection = connection
        self._seen = seen
        self.frames: list[Frame] = []
        """Every frame received, in order."""
        self._taken: set[int] = set()
        """Indexes of the frames that `expect` has taken."""
        self._news = asyncio.Condition()
        """Notified at every frame and at the end."""
        self._end: Exception | None = None
        """Why it ended: Closed, or Mismatch after a frame that the protocol does not allow."""
        self.hello: Frame = {}
        """The first frame."""
        self._refs = itertools.count(1)
        """Numbers for `ref`."""

    @property
    def kernel(self) -> socket.socket:
        """The kernel's socket, for its counters."""
        found: socket.socket = self._connection.transport.get_extra_info("socket")
        return found

    async def send(self, type_: str, **fields: Any) -> None:
        """Send a frame. Raises Closed."""
        await self.raw(json.dumps({"type": type_, **fields}, ensure_ascii=False))

    async def raw(self, data: str | bytes) -> None:
        """Send anything. Raises Closed."""
        try:
            await self._connection.send(data)
        except websockets.ConnectionClosed as error:
            raise Closed(_code(error)) from None

    async def expect(self, type_: str, within: float = _REPLY_SECONDS, **fields: Any) -> Frame:
        """Take the first frame of this type with these fields; wait for it if it has not arrived.

        Raises TimeoutError, Closed if the connection ends first, Mismatch if a frame breaks the protocol.
        """

        def fits(frame: Frame) -> bool:
            return frame["type"] == type_ and all(frame.get(name) == value for name, value in fields.items())

        try:
            async with asyncio.timeout(within):
                return await self._take(fits)
        except TimeoutError:
            raise TimeoutError(f"no {type_} {fields} within {within} s; the last frames: {self.frames[-5:]}") from None

    async def request(self, type_: str, **fields: Any) -> Frame:
        """Send a frame with a `ref` and return its answer: ack, error, synced or pong. Raises TimeoutError, Closed."""
        ref = fields.pop("ref", None) or f"r{next(self._refs)}"
        await self.send(type_, ref=ref, **fields)
        answer = await self.answer(ref)
        _documented({"type": type_, "ref": ref, **fields}, answer)
        return answer

    async def answer(self, ref: Any) -> Frame:
        """Take the answer to the frame that carried this `ref`. Raises TimeoutError, Closed."""
        async with asyncio.timeout(_REPLY_SECONDS):
            return await self._take(lambda frame: frame.get("ref") == ref and frame["type"] not in {"event", "hello"})

    async def post(self, channel: str, key: str, text: str, **fields: Any) -> Frame:
        """Send a message and return the server's answer to it: `ack` or `error`."""
        return await self.request("send", channel=channel, key=key, text=text, **fields)

    async def open(self, **positions: int) -> Frame:
        """Open the flow from these positions, by default from those in `hello`. Returns `synced`."""
        return await self.request("sync", positions=positions)

    async def closed(self, within: float = _REPLY_SECONDS) -> int:
        """Wait for the end and return its code."""
        try:
            async with asyncio.timeout(within), self._news:
                await self._news.wait_for(lambda: self._end is not None)
        except TimeoutError:
            raise TimeoutError(f"still open after {within} s; the last frames: {self.frames[-5:]}") from None
        if isinstance(self._end, Closed):
            return self._end.code
        raise self._end  # type: ignore[misc]

    def received(self, type_: str, **fields: Any) -> list[Frame]:
        """All frames of this type with these fields so far, including those that `expect` has taken."""
        return [
            frame
            for frame in self.frames
            if frame["type"] == type_ and all(frame.get(name) == value for name, value in fields.items())
        ]

    async def round_trip(self) -> None:
        """Wait until every frame that the server sent before this call has arrived."""
        await self.request("ping")

    @contextlib.asynccontextmanager
    async def deaf(self) -> AsyncIterator[None]:
        """Stop reading during the block, so that the kernel's buffers fill up."""
        self._connection.transport.pause_reading()
        try:
            yield
        finally:
            with contextlib.suppress(RuntimeError):  # it ended meanwhile
                self._connection.transport.resume_reading()

    async def drop(self) -> None:
        """End the connection without a close frame, as a crashed client does."""
        self._connection.transport.abort()
        await self._connection.wait_closed()

    async def _take(self, fits: Callable[[Frame], bool]) -> Frame:
        index = 0
        async with self._news:
            while True:
                while index < len(self.frames):
                    if index not in self._taken and fits(self.frames[index]):
                        self._taken.add(index)
                        return self.frames[index]
                    index += 1
                if self._end is not None:
                    raise self._end
                await self._news.wait()

    async def receive(self) -> None:
        """Keep each arriving frame until the connection ends; `connect` runs this."""
        end: Exception = Closed(1006)
        try:
            async for data in self._connection:
                frame = json.loads(data)
                shapes.frame(frame)
                asyncapi.received(frame)
                if not self.hello:
                    self._greet(frame)
                if self._seen is not None:
                    self._seen(frame)
                async with self._news:
                    self.frames.append(frame)
                    self._news.notify_all()
            end = Closed(_code(self._connection))
        except websockets.ConnectionClosed as error:
            end = Closed(_code(error))
        except (shapes.Mismatch, ValueError) as error:
            end = error
        finally:
            self._end = end
            async with self._news:
                self._news.notify_all()

    def _greet(self, frame: Frame) -> None:
        if frame["type"] != "hello":
            raise shapes.Mismatch(f"the first frame is {frame}")
        self.hello = frame


@contextlib.asynccontextmanager
async def connect(
    api: Api,
    way: Way = "header",
    *,
    query: str = "",
    origin: str | None = None,
    headers: dict[str, str] | None = None,
    protocols: tuple[str, ...] = ("hubbub.v1",),
    url: str | None = None,
    seen: Callable[[Frame], None] | None = None,
) -> AsyncIterator[Socket]:
    """Connect as the caller of `api`, to its gateway or to `url`, and wait for `hello`; disconnects at the end of the block.

    `seen` is called with every frame, in order, before `expect` can take it.
    Raises Refusal unless upgraded; OSError, TimeoutError, Closed when the server is not there.
    """
    head = dict(headers or {})
    if way == "ticket":
        query = f"?ticket={await api.ticket()}"
    elif way == "protocol":
        protocols = (*protocols, f"bearer.{api.token}")
    elif api.token is not None:
        head["Authorization"] = f"Bearer {api.token}"
    address = (url or api.url).replace("http", "ws", 1)
    connection: ClientConnection | SocketIoConnection
    if door == "native":
        connection = await _upgrade(f"{address}/v1/connect{query}", protocols, head, origin)
    else:
        connection = await _open_socketio(address + PATH + query.replace("?", "&"), head, origin)
    socket = Socket(connection, seen)
    receiving = asyncio.create_task(socket.receive())
    try:
        await socket.expect("hello")
        yield socket
    finally:
        await connection.close()
        await receiving


async def _open_socketio(address: str, headers: dict[str, str], origin: str | None) -> SocketIoConnection:
    try:
        return await SocketIoConnection.opened(await _upgrade(address, (), headers, origin))
    except Refused as refused:
        raise Refusal(refused.status, websockets.Headers(), b"") from None
    except websockets.ConnectionClosed as error:
        raise Closed(_code(error)) from None


async def _upgrade(address: str, protocols: tuple[str, ...], headers: dict[str, str], origin: str | None) -> ClientConnection:
    try:
        connection = await websockets.connect(
            address,
            subprotocols=[Subprotocol(name) for name in protocols] or None,
            additional_headers=headers,
            origin=websockets.Origin(origin) if origin is not None else None,
            compression=None,
            max_size=None,
            max_queue=None,
            open_timeout=_OPEN_SECONDS,
            close_timeout=2,
            ping_interval=None,
            proxy=None,
        )
    except websockets.InvalidStatus as error:
        response = error.response
        raise Refusal(response.status_code, response.headers, bytes(response.body or b"")) from None
    except websockets.InvalidHandshake as error:  # the server hung up during the handshake
        raise ConnectionError(str(error)) from None
    if protocols and connection.subprotocol != "hubbub.v1":
        raise shapes.Mismatch(f"the server chose the sub-protocol {connection.subprotocol}")
    return connection


def _documented(frame: Frame, answer: Frame) -> None:
    """Raise Mismatch unless the document has the answer, and the frame too if the server has accepted it."""
    if answer.get("reason") == "INVALID_FRAME":
        return
    problem = asyncapi.wrong("client", frame)
    if problem is None and answer["type"] not in asyncapi.answers(frame["type"]):
        problem = f"{answer['type']} is not among its answers"
    if problem is not None:
        raise shapes.Mismatch(f"{frame}: {problem}")


def _code(end: websockets.ConnectionClosed | ClientConnection | SocketIoConnection) -> int:
    if isinstance(end, websockets.ConnectionClosed):
        return end.rcvd.code if end.rcvd is not None else 1006
    return end.close_code if end.close_code is not None else 1006

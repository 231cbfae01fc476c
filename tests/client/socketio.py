"""A connection to the Socket.IO door that looks like one to `/v1/connect`: frames of docs/protocol.md in both directions.

So a test of what a connection may do runs over either door (the fixture `door`). A frame with a `ref` asks for an
acknowledgement, and the flow waits for a `sync`.
"""

import itertools
import json
from collections.abc import AsyncIterator
from typing import Any

from websockets.asyncio.client import ClientConnection

PATH = "/socket.io/?EIO=4&transport=websocket"
_ANSWERS = {"sync": "synced", "ping": "pong", "token": "token"}
_SILENT = frozenset({"read", "typing", "watch", "status"})
"""Frames that natively have no answer."""


class Refused(Exception):
    """`CONNECT` was answered by `CONNECT_ERROR`."""

    def __init__(self, error: Any) -> None:
        super().__init__(error)
        self.status = 401 if error["message"] == "NOT_AUTHENTICATED" else 403
        """The status with which the native door refuses."""


class SocketIoConnection:
    """One connection after its `CONNECT`."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._ids = itertools.count()
        self._asked: dict[int, tuple[str, Any]] = {}
        """Type and `ref` of each frame whose acknowledgement is awaited, by its id."""

    @classmethod
    async def opened(cls, connection: ClientConnection) -> "SocketIoConnection":
        """Connect to the main namespace. Raises `Refused`, after closing the connection."""
        await connection.recv()
        await connection.send('40{"hold":true}')
        answer = await connection.recv()
        assert isinstance(answer, str)
        if answer.startswith("44"):
            await connection.close()
            raise Refused(json.loads(answer[2:]))
        return cls(connection)

    @property
    def transport(self) -> Any:
        """The transport below."""
        return self._connection.transport

    @property
    def close_code(self) -> int | None:
        """The code of the server's close frame."""
        return self._connection.close_code

    async def close(self) -> None:
        """Close the connection."""
        await self._connection.close()

    async def wait_closed(self) -> None:
        """Wait until it is closed."""
        await self._connection.wait_closed()

    async def send(self, data: str | bytes) -> None:
        """Send a frame as an event."""
        frame = json.loads(data)
        name, number = frame.pop("type"), ""
        if "ref" in frame:
            key = next(self._ids)
            self._asked[key], number = (name, frame.pop("ref")), str(key)
        await self._connection.send(f"42{number}{json.dumps([name, frame])}")

    async def __aiter__(self) -> AsyncIterator[str]:
        """The server's frames."""
        async for packet in self._connection:
            assert isinstance(packet, str)
            if packet == "2":
                await self._connection.send("3")
            elif (frame := self._frame(packet)) is not None:
                yield json.dumps(frame)

    def _frame(self, packet: str) -> dict[str, Any] | None:
        if packet.startswith("43"):
            number, _, rest = packet[2:].partition("[")
            name, ref = self._asked.pop(int(number))
            [answer] = json.loads("[" + rest)
            if not answer.pop("ok"):
                return {"type": "error", "ref": ref, **answer}
            return None if name in _SILENT else {"type": _ANSWERS.get(name, "ack"), "ref": ref, **answer}
        if not packet.startswith("42"):
            return None
        name, value, *_offset = json.loads(packet[2:])
        if name == "closing" or (name == "synced" and any(asked == "sync" for asked, _ in self._asked.values())):
            return None
        if name == "error":
            value.pop("event")
        return {"type": name, **value}

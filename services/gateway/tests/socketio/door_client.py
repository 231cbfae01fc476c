"""A client of a whole gateway's Socket.IO door, packet by packet."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import websockets

from gateway.socketio.session import Session
from services.gateway.tests.house import House
from services.gateway.tests.socketio.conftest import received

PATH = "/socket.io/"
CHANNEL = "0190a0b0-0000-7000-8000-000000000001"
OTHER = "0190a0b0-0000-7000-8000-000000000002"
NAMED = {"EIO": "4", "transport": "polling"}


def socket_url(house: House, **parameters: str) -> str:
    query = httpx.QueryParams({"EIO": "4", "transport": "websocket", **parameters})
    return f"ws://127.0.0.1:{house.port}{PATH}?{query}"


def websocket(house: House, user: str | None = "ann", **parameters: str) -> Any:
    headers = house.bearer(user) if user else {}
    return websockets.connect(
        socket_url(house, **parameters), additional_headers=headers, ping_interval=None, compression=None, max_size=None
    )


@asynccontextmanager
async def opened(house: House, user: str | None = "ann", **parameters: str) -> AsyncIterator[Any]:
    """A WebSocket whose session is open."""
    async with websocket(house, user, **parameters) as socket:
        assert (await received(socket)).startswith("0{")
        yield socket


@asynccontextmanager
async def connected(house: House, user: str = "ann", auth: str = "") -> AsyncIterator[Any]:
    """A WebSocket that is connected, after `hello`."""
    async with opened(house, user) as socket:
        await socket.send(f"40{auth}")
        assert (await received(socket)).startswith('40{"sid":')
        assert (await event(socket))[0] == "hello"
        yield socket


async def event(socket: Any) -> tuple[str, Any]:
    """The next event."""
    packet = await received(socket)
    assert packet.startswith("42["), packet
    name, argument, *_offset = json.loads(packet[2:])
    return name, argument


async def acknowledged(socket: Any, number: int) -> Any:
    """The next acknowledgement."""
    packet = await received(socket)
    assert packet.startswith(f"43{number}["), packet
    [argument] = json.loads(packet.removeprefix(f"43{number}"))
    return argument


async def emit(socket: Any, name: str, argument: Any, number: int | str = "") -> None:
    await socket.send(f"42{number}" + json.dumps([name, argument]))


async def ended(socket: Any) -> tuple[Any, bool, int]:
    """What the client is told at the end: `closing`, whether a `DISCONNECT` follows, and the close code."""
    closing, disconnected = None, False
    async with asyncio.timeout(10):
        try:
            async for packet in socket:
                if packet.startswith('42["closing"'):
                    closing = json.loads(packet[2:])[1]
                disconnected |= packet == "41"
        except websockets.ConnectionClosed:
            pass
    return closing, disconnected, socket.close_code


def sessions(house: House) -> dict[str, Session]:
    assert house.gateway.socketio is not None
    return house.gateway.socketio.sessions


class Poller:
    """A session that polls."""

    def __init__(self, http: httpx.AsyncClient, sid: str) -> None:
        self._http = http
        self.sid = sid
        self._received: list[str] = []

    @property
    def named(self) -> dict[str, str]:
        return {**NAMED, "sid": self.sid}

    async def get(self, **headers: str) -> httpx.Response:
        return await self._http.get(PATH, params=self.named, headers=headers)

    async def post(self, packets: str, **headers: str) -> httpx.Response:
        return await self._http.post(PATH, params=self.named, content=packets, headers=headers)

    async def recv(self) -> str:
        """The next packet, as the WebSocket's."""
        while not self._received:
            answer = await self.get()
            assert answer.status_code == 200, answer.text
            self._received = answer.text.split("\x1e")
            assert self._received == ["1"] or "1" not in self._received, "stock clients drop what comes with a close packet"
        return self._received.pop(0)

    async def send(self, packet: str) -> None:
        assert (await self.post(packet)).text == "ok"


@asynccontextmanager
async def polling(house: House, **headers: str) -> AsyncIterator[Poller]:
    async with httpx.AsyncClient(base_url=house.url, timeout=60) as http:
        sid = json.loads((await http.get(PATH, params=NAMED, headers=headers)).text[1:])["sid"]
        yield Poller(http, sid)

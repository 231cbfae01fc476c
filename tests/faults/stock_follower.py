"""Stock Socket.IO clients as readers: npm's in Node and python-socketio's, behind a proxy without stickiness.

Those in Node keep nothing, and rely on recovery: what they receive after `recovered` continues what they received before, so a
hole or a repeat across a recovery is a finding. The Python client keeps one number for each channel.
"""

import asyncio
import json
import os
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing, suppress
from pathlib import Path
from typing import Any, Protocol

import socketio

from tests.client import Api
from tests.client.follower import Watcher

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "services" / "gateway" / "tests" / "socketio" / "stock_client.cjs"
NODE_PATH = ROOT / "web" / "node_modules"
_LINE_BYTES = 1 << 20
_RETRY_SECONDS = 0.2
Told = tuple[str, Any]
"""What happened at a client, and its value."""


class Stock(Protocol):
    """A stock client that connects again by itself."""

    def happenings(self) -> AsyncIterator[Told]:
        """`connected` with whether the session was recovered, `disconnect`, and every event of the server; without end."""


class NodeClient:
    """socket.io-client in Node, which keeps nothing."""

    def __init__(self, api: Api, url: str, transports: Sequence[str]) -> None:
        headers = {"Authorization": f"Bearer {api.token}"}
        options = {"url": url, "transports": transports, "extraHeaders": headers, "forgetful": True}
        self._arguments = json.dumps(options)

    async def happenings(self) -> AsyncIterator[Told]:
        """Run until closed."""
        environment = {**os.environ, "NODE_PATH": str(NODE_PATH)}
        process = await asyncio.create_subprocess_exec(
            "node", str(SCRIPT), self._arguments, stdin=PIPE, stdout=PIPE, stderr=DEVNULL, env=environment, limit=_LINE_BYTES
        )
        assert process.stdout is not None
        try:
            async for line in process.stdout:
                what, value = json.loads(line)
                yield what, value
        finally:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()


class PythonClient:
    """python-socketio's client, which knows no recovery."""

    def __init__(self, api: Api, url: str, transports: Sequence[str], positions: dict[str, int]) -> None:
        self._api, self._url, self._transports = api, url, list(transports)
        self._positions = positions

    async def happenings(self) -> AsyncIterator[Told]:
        """Connect again and again until closed."""
        while True:
            client = socketio.AsyncClient(reconnection=False)
            told: asyncio.Queue[Told] = asyncio.Queue()
            client.on("*", lambda name, value, *_offset, told=told: told.put_nowait((name, value)))
            client.on("disconnect", lambda *_reason, told=told: told.put_nowait(("disconnect", None)))
            auth = {"positions": self._positions} if self._positions else {}
            headers = {"Authorization": f"Bearer {self._api.token}"}  # it upgrades before it sends `auth`
            try:
                await client.connect(self._url, headers, auth=auth, transports=self._transports, wait_timeout=10)
                yield "connected", False
                while (happening := await told.get())[0] != "disconnect":
                    yield happening
                yield happening
            except socketio.exceptions.ConnectionError:
                pass
            finally:
                with suppress(TypeError):  # python-engineio, in the midst of an upgrade
                    await client.disconnect()
            await asyncio.sleep(_RETRY_SECONDS)


class StockFollower:
    """Records what a stock client receives, as `tests.client.Follower` does."""

    def __init__(self, api: Api, watcher: Watcher, *, keeps_positions: bool) -> None:
        self.api = api
        self.client: Stock
        """Set before `run`."""
        self.positions: dict[str, int] = {}
        """The last number of every channel."""
        self.recoveries = 0
        """Connections that went on with the session before."""
        self._watcher = watcher
        self._keeps_positions = keeps_positions
        self._connected = False
        self._epoch = ""
        self._changed = asyncio.Event()

    async def run(self) -> None:
        """Follow until cancelled."""
        async with aclosing(self.client.happenings()) as happenings:  # type: ignore[type-var]
            async for what, value in happenings:
                self._take(what, value)
                self._changed.set()

    async def reach(self, heads: dict[str, int], within: float) -> bool:
        """Wait until it is connected and has reached these heads; False on timeout."""
        try:
            async with asyncio.timeout(within):
                while not self._connected or any(self.positions.get(name, 0) < seq for name, seq in heads.items()):
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            return False
        return True

    def _take(self, what: str, value: Any) -> None:
        match what:
            case "connected":
                self._connected = bool(value)
                self.recoveries += bool(value)
            case "disconnect":
                self._connected = False
            case "hello":
                self._connected = True
                self._greet(value)
            case "synced":
                self._synced(value["channels"])
            case "event":
                self._watcher.event(value)
                self.positions[value["channel"]] = value["seq"]
            case "joined":
                self._start(value["channel"]["id"], value["channel"]["seq"])
            case "left":
                self._end(value["channel"])

    def _greet(self, hello: Any) -> None:
        """Channels start where `hello` says, unless positions were given: then `synced` tells."""
        self._epoch = hello["epoch"]
        for channel in hello["channels"]:
            if not self._keeps_positions or channel["id"] not in self.positions:
                self._start(channel["id"], channel["seq"])

    def _synced(self, channels: dict[str, Any]) -> None:
        for channel, state in channels.items():
            match state["status"]:
                case "complete":
                    self._watcher.begin(channel, self.positions[channel], "asked", self._epoch)
                case "reset":
                    self._watcher.begin(channel, state["seq"], "reset", self._epoch)
                    self.positions[channel] = state["seq"]
                case _:
                    self._end(channel)

    def _start(self, channel: str, seq: int) -> None:
        self._watcher.begin(channel, seq, "joined", self._epoch)
        self.positions[channel] = seq

    def _end(self, channel: str) -> None:
        self._watcher.end(channel)
        self.positions.pop(channel, None)

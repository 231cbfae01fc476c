"""A client that follows channels until it is cancelled: it reconnects to any gateway and resumes from its last number.

It checks the shape of frames only. Events go to its hooks as they arrive, holes and repeats included.
"""

import asyncio
import itertools
from collections.abc import Sequence
from typing import Any, Literal, Protocol

from tests.client.api import Api
from tests.client.socket import Closed, Frame, Refusal, Socket, connect

_RETRY_SECONDS = 0.2
_BEAT_SECONDS = 5.0
"""Shorter than the server's heartbeat, so that the follower soon leaves a server that does not answer."""
How = Literal["asked", "reset", "joined"]


class Watcher(Protocol):
    """Callbacks for what a follower sees."""

    def begin(self, channel: str, start: int, how: How, epoch: str) -> Any:
        """The flow of a channel (re)starts after a position of an epoch."""

    def event(self, frame: Frame) -> None:
        """An `event` frame arrived."""

    def end(self, channel: str) -> None:
        """The channel is gone, or left."""


class Follower:
    """Follows every channel of one user. `run` runs until it is cancelled."""

    def __init__(self, api: Api, urls: Sequence[str], watcher: Watcher, first: int = 0, *, names_epoch: bool = True) -> None:
        self.api = api
        """The user whose channels it follows."""
        self._urls = itertools.islice(itertools.cycle(urls), first, None)
        """Gateways; each connection goes to the next one."""
        self._watcher = watcher
        self._names_epoch = names_epoch
        """Say of which epoch the positions are; clients written before there were epochs do not."""
        self.epoch: str | None = None
        """The epoch of `positions`; None before the first answer."""
        self.positions: dict[str, int] = {}
        """The last number of every channel that it has followed; 0 asks for the whole log."""
        self.connections = 0
        """Number of connections so far."""
        self.socket: Socket | None = None
        """The open connection, once its flow is open."""
        self.changed = asyncio.Event()
        """Set when a position or the connection changes; the waiter clears it."""
        self._asked: dict[str, int] = {}
        """Positions in the `sync` in progress."""
        self._offered = ""
        """The epoch of the connection."""

    async def run(self) -> None:
        """Connect, resume and follow; repeat after every end of a connection."""
        while True:
            try:
                async with connect(self.api, url=next(self._urls), seen=self._see) as socket:
                    self.connections += 1
                    await self._resume(socket)
                    await self._stay(socket)
            except (Closed, Refusal, OSError, TimeoutError):
                await asyncio.sleep(_RETRY_SECONDS)
            finally:
                self.socket = None
                self.changed.set()

    async def reach(self, heads: dict[str, int], within: float) -> bool:
        """Wait until it is connected and has reached these heads; False on timeout."""
        try:
            async with asyncio.timeout(within):
                while self.socket is None or any(self.positions.get(name, 0) < seq for name, seq in heads.items()):
                    self.changed.clear()
                    await self.changed.wait()
        except TimeoutError:
            return False
        return True

    async def _resume(self, socket: Socket) -> None:
        """Send `sync` for every channel; a new channel starts at its beginning."""
        self._asked = {channel["id"]: self.positions.get(channel["id"], 0) for channel in socket.hello["channels"]}
        self._asked |= self.positions
        named = {"epoch": self.epoch} if self._names_epoch and self.epoch else {}
        self._offered = socket.hello["epoch"]
        await socket.request("sync", positions=self._asked, **named)
        self.socket = socket
        self.changed.set()

    async def _stay(self, socket: Socket) -> None:
        """Send heartbeats until the connection ends."""
        while True:
            try:
                await socket.closed(within=_BEAT_SECONDS)
            except TimeoutError:
                await socket.round_trip()
            else:
                return

    def _see(self, frame: Frame) -> None:
        match frame["type"]:
            case "synced":
                self._synced(frame["channels"])
            case "event":
                self._watcher.event(frame)
                self.positions[frame["channel"]] = frame["seq"]
            case "joined":
                self._start(frame["channel"]["id"], frame["channel"]["seq"], "joined")
            case "left":
                self._watcher.end(frame["channel"])
        self.changed.set()

    def _synced(self, channels: dict[str, Any]) -> None:
        self.epoch = self._offered
        for channel, state in channels.items():
            match state["status"]:
                case "complete":
                    self._start(channel, self._asked[channel], "asked")
                case "reset":
                    self._start(channel, state["seq"], "reset")
                case _:
                    self._watcher.end(channel)

    def _start(self, channel: str, start: int, how: How) -> None:
        self._watcher.begin(channel, start, how, self._offered)
        self.positions[channel] = start

"""Users of the Python client in a run. The checker judges the frames on the wire, and beside them what the client delivers."""

import asyncio
import contextlib
import itertools
import json
import time
from collections.abc import Sequence
from typing import Any

from hubbub_client import Checkpoint, Client, Event, Joined, NoAnswer, Reset, Settings, Update
from tests.client import Api, shapes
from tests.client.follower import How, Watcher
from tests.client.socket import Frame
from tests.faults.record import Acked, Attempt, Entry, Reading, Record, Refused, Sight, Stretch

SETTINGS = Settings(backoff_seconds=0.2, backoff_max_seconds=1.0, open_seconds=10.0)
"""A run is short, and its faults are many."""
_LOOK_SECONDS = 0.1
_KINDS = {"send": "message.posted", "edit": "message.edited", "react": "reaction.added", "delete": "message.deleted"}
_DATA = {"send": ("key", "text"), "edit": ("message", "text"), "react": ("message", "emoji"), "delete": ("message",)}


def client(api: Api, urls: Sequence[str], tap: "Wire") -> Client:
    """A client of this user."""
    return Client(urls, lambda: api.token or "", settings=SETTINGS, tap=tap)


class Wire:
    """Parses and checks every frame of a client's connections. A frame that the protocol does not allow ends the client."""

    def opened(self, _url: str, /) -> None:
        """A connection begins."""

    def sent(self, text: str, /) -> None:
        """Hand a frame on."""
        self.goes(json.loads(text))

    def received(self, text: str, /) -> None:
        """Check a frame and hand it on."""
        frame = json.loads(text)
        shapes.frame(frame)
        self.comes(frame)

    def closed(self, _code: int, /) -> None:
        """A connection ended."""

    def goes(self, frame: Frame) -> None:
        """The client sends a frame."""

    def comes(self, frame: Frame) -> None:
        """The server has sent a frame."""


class Attempts(Wire):
    """Records every command that passes on the wire, with its outcome. A repetition is an attempt of its own."""

    def __init__(self, user: str, record: Record) -> None:
        self._user = user
        self._record = record
        self._open: dict[str, tuple[Frame, float]] = {}
        """Commands without an answer, by `ref`, and when they were sent."""

    def goes(self, frame: Frame) -> None:
        """Begin an attempt."""
        if frame["type"] in _KINDS:
            self._end(frame["ref"], None)
            self._open[frame["ref"]] = (frame, time.monotonic())

    def comes(self, frame: Frame) -> None:
        """End an attempt with its answer."""
        if frame["type"] == "ack":
            self._end(frame["ref"], Acked(frame["seq"], frame["message"], frame.get("duplicate", False)))
        elif frame["type"] == "error":
            self._end(frame.get("ref"), Refused(frame["reason"]))

    def closed(self, _code: int, /) -> None:
        """End all attempts without an answer."""
        for ref in list(self._open):
            self._end(ref, None)

    def _end(self, ref: Any, outcome: Acked | Refused | None) -> None:
        frame, began = self._open.pop(ref, (None, 0.0))
        if frame is None:
            return
        data = {name: frame[name] for name in _DATA[frame["type"]]}
        key, kind = frame.get("key", ""), _KINDS[frame["type"]]
        attempt = Attempt(self._user, frame["channel"], kind, data, key, began, time.monotonic(), outcome)
        self._record.attempts.append(attempt)


class Flows(Wire):
    """Tells a watcher where each channel's flow begins on the wire, and its events."""

    def __init__(self, watcher: Watcher) -> None:
        self._watcher = watcher
        self.hello: Frame = {}
        """The connection's."""
        self._asked: dict[str, int] | None = None
        """Positions in the `sync` in progress; None before the first one."""

    def opened(self, _url: str, /) -> None:
        """Forget the last connection."""
        self._asked = None

    def goes(self, frame: Frame) -> None:
        """The first `sync` opens the flow of every channel: of those that it does not name, at the number in `hello`."""
        if frame["type"] != "sync":
            return
        if self._asked is None:
            for channel in self.hello["channels"]:
                if channel["id"] not in frame["positions"]:
                    self._begin(channel["id"], channel["seq"], "joined")
        self._asked = frame["positions"]

    def comes(self, frame: Frame) -> None:
        """Note starts, ends and events."""
        match frame["type"]:
            case "hello":
                self.hello = frame
            case "synced":
                for channel, state in frame["channels"].items():
                    self._synced(channel, state)
            case "event":
                self._watcher.event(frame)
            case "joined":
                self._begin(frame["channel"]["id"], frame["channel"]["seq"], "joined")
            case "left":
                self._watcher.end(frame["channel"])

    def _synced(self, channel: str, state: Frame) -> None:
        match state["status"]:
            case "complete":
                self._begin(channel, (self._asked or {})[channel], "asked")
            case "reset":
                self._begin(channel, state["seq"], "reset")
            case _:
                self._watcher.end(channel)

    def _begin(self, channel: str, start: int, how: How) -> None:
        self._watcher.begin(channel, start, how, self.hello["epoch"])


class Delivered:
    """Records what a client delivers: over all its connections each event once, in order, without a hole, until a reset."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._open: dict[str, Stretch] = {}

    def begin(self, checkpoint: Checkpoint) -> None:
        """Record where the client begins."""
        for channel, seq in checkpoint.positions.items():
            self._begin(channel, seq, "joined", checkpoint.epoch)

    def take(self, update: Update, hello: Frame) -> None:
        """Record an update."""
        match update:
            case Event():
                entry = Entry(update.seq, update.kind, update.actor, update.at, dict(update.data))
                self._open[update.channel].sights.append(Sight(time.monotonic(), entry))
            case Reset():
                self._begin(update.channel, update.seq, "reset", hello["epoch"])
            case Joined():
                self._begin(update.channel, update.seq, "joined", hello["epoch"])

    def _begin(self, channel: str, start: int, how: How, epoch: str) -> None:
        self._open[channel] = self._reading.begin(channel, start, how, epoch)


class Subscriber:
    """A reader that is a `hubbub_client.Client`."""

    def __init__(self, api: Api, urls: Sequence[str], flows: Flows, delivered: Delivered) -> None:
        self.api = api
        """The user whose channels it follows."""
        self._urls = urls
        self._flows = flows
        self._delivered = delivered
        self._client: Client | None = None

    async def run(self) -> None:
        """Follow until cancelled. Raises Ended if the client gives up, which no fault of a run allows."""
        async with client(self.api, self._urls, self._flows) as self._client:
            self._delivered.begin(await _first(self._client))
            async for update in self._client:
                self._delivered.take(update, dict(self._client.hello))

    async def reach(self, heads: dict[str, int], within: float) -> bool:
        """Wait until it is connected and has reached these heads; False on timeout."""
        try:
            async with asyncio.timeout(within):
                while not self._has(heads):  # noqa: ASYNC110 - no event tells of a checkpoint that moves
                    await asyncio.sleep(_LOOK_SECONDS)
        except TimeoutError:
            return False
        return True

    def _has(self, heads: dict[str, int]) -> bool:
        checkpoint = self._client.checkpoint() if self._client is not None and self._client.connected else None
        return checkpoint is not None and all(checkpoint.positions.get(name, 0) >= seq for name, seq in heads.items())


async def _first(client: Client) -> Checkpoint:
    """Where a client begins, once it has connected."""
    while (checkpoint := client.checkpoint()) is None:
        with contextlib.suppress(NoAnswer):
            await client.opened()
    return checkpoint


def turns(urls: Sequence[str], first: int) -> list[str]:
    """The gateways in order, beginning with the `first`."""
    return list(itertools.islice(itertools.cycle(urls), first % len(urls), first % len(urls) + len(urls)))

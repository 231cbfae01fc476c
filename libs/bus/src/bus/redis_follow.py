"""Follows streams and never has a silent hole: whatever may have been missed is said with `Lost`.

How it knows. It counts the entries it has seen of each stream since the stream's first. The server counts the entries it has ever
added and those it still holds. At one instant, with everything still ahead counted too, the sums must agree; when the
server has added more, entries were trimmed unseen, when fewer, the stream is a new one. A wipe also takes the epoch away, a key
that followers put there, and a restart changes the server's run id. The sums are checked every second, at once after
reconnecting, and before anything is handed out while the follower is behind.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from typing import Any, Self

import hiredis
import structlog

from bus import metrics, redis_keys
from bus.bus import BusUnavailable, Delivery, Entry, Lost
from bus.redis_connection import Address, Command, Connection
from bus.redis_link import CALL_SECONDS
from bus.redis_scripts import Scripts
from bus.topics import Topic
from chassis.backoff import Backoff

_COUNT = 64
"""Entries of a topic per read; far below every bound, so that trimming cannot pass a follower that reads less."""
_LOOK_SECONDS = 1.0
"""Time between two checks, and the longest time a read waits."""

_log = structlog.get_logger(__name__)


class _Position:
    """How far the follower is in one stream."""

    __slots__ = ("cursor", "seen", "topic")

    def __init__(self, topic: Topic) -> None:
        self.topic = topic
        self.cursor = "0-0"
        """Id of the last entry seen."""
        self.seen = 0
        """Entries from the stream's first up to the cursor."""

    def begin(self, state: _State | None) -> None:
        """Stand at the end."""
        if state is not None:
            self.cursor, self.seen = state.last, state.added

    def judge(self, state: _State | None, ahead: int | None) -> str | None:
        """Compare with the server, where `ahead` entries follow the cursor (None: unknown).

        Returns why entries may be missing, None where none is.
        """
        if state is None or _order(state.last) < _order(self.cursor):
            fresh = self.cursor == "0-0"
            self.cursor, self.seen = "0-0", 0
            return None if fresh else "wiped"
        if ahead is None:
            return None
        missed = state.added - ahead - self.seen
        self.seen += missed
        if missed == 0:
            return None
        return "trimmed" if missed > 0 else "wiped"


class _State:
    """What the server says of one stream."""

    __slots__ = ("added", "first", "last", "length")

    def __init__(self, answer: list[Any]) -> None:
        self.added = int(answer[0])
        self.length = int(answer[1])
        self.first: str = answer[2].decode()
        self.last: str = answer[3].decode()

    def after(self, cursor: str, read: int) -> int | None:
        """Count the entries that follow the cursor, where that is known: `read` of them were read at the same instant."""
        if self.length == 0 or _order(self.first) > _order(cursor):
            return self.length
        return read if read < _COUNT else None


class Follower:
    """One follower's block: entered, it iterates over what is published from then on."""

    def __init__(self, address: Address, scripts: Scripts, topics: Sequence[Topic]) -> None:
        self._address = address
        self._scripts = scripts
        self._positions = {redis_keys.stream(topic.name): _Position(topic) for topic in topics}
        """By stream key."""
        self._behind = False
        """The last read brought as much of a topic as it may, so there is more."""
        self._connection: Connection | None = None
        self._run: bytes = b""
        """The server's run id: another one means that it restarted, or that another server took over."""
        self._epoch: bytes = b""
        """Name of the data set, put there by some follower; another one means that it was wiped."""
        self._restarted = False
        """The next look must say `Lost` whatever it finds."""
        self._next_look = 0.0
        """Loop time of the next check."""
        self._ready: deque[Delivery | Lost] = deque()
        """Read and not yet handed out; nothing is read before it is empty."""
        self._backoff = Backoff()

    async def __aenter__(self) -> Self:
        await self._connect()
        states, _ = await self._look(reading=False)
        for key, position in self._positions.items():
            position.begin(states[key])
        self._restarted = False
        return self

    async def __aexit__(self, *_: object) -> None:
        self._drop()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Delivery | Lost:
        while not self._ready:
            try:
                await self._fill()
            except BusUnavailable as error:
                _log.warning("bus_follow_interrupted", reason=str(error))
                self._drop()
                await self._backoff.wait()
            else:
                self._backoff.succeeded()
        return self._hand_out(self._ready.popleft())

    def _hand_out(self, item: Delivery | Lost) -> Delivery | Lost:
        match item:
            case Delivery(topic, entries):
                metrics.DELIVERED_ENTRIES.labels(metrics.kind_of(topic), "follow").inc(len(entries))
            case Lost(topics, reason):
                metrics.LOST.labels(reason).inc(len(topics))
                _log.warning("bus_follow_lost", reason=reason, topics=len(topics))
        return item

    async def _fill(self) -> None:
        if self._connection is None:
            await self._connect()
        if self._behind or asyncio.get_running_loop().time() >= self._next_look:
            await self._check()
        else:
            milliseconds = int(_LOOK_SECONDS * 1000)
            (answer,) = await self._call(self._reading("BLOCK", milliseconds), seconds=_LOOK_SECONDS + CALL_SECONDS)
            read = _by_key(answer)
            if any(len(entries) >= _COUNT for entries in read.values()):
                await self._check()  # that much waits only where trimming may have passed: read again, with proof
            else:
                self._take(read)

    async def _check(self) -> None:
        """Read without waiting, and compare sums at the same instant."""
        epoch = self._epoch
        states, read = await self._look(reading=True)
        wiped = self._epoch != epoch
        reasons: dict[str, list[str]] = defaultdict(list)
        for key, position in self._positions.items():
            state = states[key]
            cursor = position.cursor
            reason = position.judge(state, state.after(cursor, len(read.get(key, ()))) if state else 0)
            if position.cursor != cursor:
                read.pop(key, None)  # it was read after a cursor that means nothing any more
            if wiped or reason == "wiped":
                reasons["wiped"].append(position.topic.name)
            elif reason or self._restarted:
                reasons[reason or "disconnected"].append(position.topic.name)
        self._restarted = False
        self._ready.extend(Lost(tuple(topics), reason) for reason, topics in reasons.items())
        self._take(read)

    async def _look(self, *, reading: bool) -> tuple[dict[str, _State | None], dict[str, list[Any]]]:
        """Ask for the streams' state and, when `reading`, for what follows the cursors, at one instant."""
        proposal = secrets.token_hex(8)
        commands: list[Command] = [
            ("EXPIRE", key(position.topic.name), position.topic.idle_seconds)
            for position in self._positions.values()
            if position.topic.idle_seconds
            for key in (redis_keys.stream, redis_keys.size)
        ]
        commands += [("MULTI",), self._scripts.look.call([redis_keys.EPOCH, *self._positions], proposal)]
        commands += [self._reading(), ("EXEC",)] if reading else [("EXEC",)]
        answers = (await self._call(*commands, seconds=CALL_SECONDS))[-1]
        if answers is None or any(isinstance(answer, hiredis.ReplyError) for answer in answers):
            raise BusUnavailable("the server refused to look")
        (self._epoch, *states), *read = answers
        self._next_look = asyncio.get_running_loop().time() + _LOOK_SECONDS
        by_key = dict(zip(self._positions, (_State(state) if state else None for state in states), strict=True))
        return by_key, _by_key(read[0] if read else None)

    def _reading(self, *options: str | int) -> Command:
        cursors = [position.cursor for position in self._positions.values()]
        return ("XREAD", "COUNT", _COUNT, *options, "STREAMS", *self._positions, *cursors)

    def _take(self, read: Mapping[str, list[Any]]) -> None:
        self._behind = False
        for key, found in read.items():
            position = self._positions[key]
            entries = [Entry(id_.decode(), fields[1]) for id_, fields in found]
            self._behind |= len(entries) >= _COUNT
            position.cursor = entries[-1].id
            position.seen += len(entries)
            self._ready.append(Delivery(position.topic.name, entries))

    async def _connect(self) -> None:
        connection = await Connection.open(self._address, CALL_SECONDS, scripts=self._scripts.sources())
        try:
            (information,) = await connection.call([("INFO", "server")], CALL_SECONDS)
        except BaseException:  # cancelled, too
            connection.close()
            raise
        run = next(line for line in bytes(information).splitlines() if line.startswith(b"run_id:"))
        self._restarted |= run != self._run
        self._run = run
        self._next_look = 0.0
        self._connection = connection

    async def _call(self, *commands: Command, seconds: float) -> list[Any]:
        if self._connection is None:
            raise BusUnavailable("not connected")
        return await self._connection.call(commands, seconds)

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _by_key(answer: Mapping[bytes, list[Any]] | None) -> dict[str, list[Any]]:
    return {key.decode(): entries for key, entries in (answer or {}).items()}


def _order(id_: str) -> tuple[int, int]:
    """Turn a stream id, `milliseconds-sequence`, into what sorts like it."""
    milliseconds, _, sequence = id_.partition("-")
    return int(milliseconds), int(sequence or 0)

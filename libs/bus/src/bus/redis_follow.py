"""A follower of streams that detects missed entries by counting, and reports them with `Lost`.

Per stream, the follower counts the entries it has read since the stream began, and the server counts the entries it has ever
added. In one transaction, entries read plus entries still unread must equal entries added. If the server has added more,
entries were trimmed unread; if fewer, the stream is a new one. Two more signs: a wipe removes the epoch, a key that followers
write, and a restart changes the server's run id. The counts are checked every second, at once after reconnecting, and, while
the follower lags, before every delivery.

Price: about 100 of these lines and one script call per second and follower. Gain: no entry is missed silently, which a cursor
alone cannot guarantee: it does not show entries trimmed in between, nor a stream that was wiped and refilled (docs/adr/0011).
`tests/test_follow.py` and `tests/test_redis_faults.py` guard it.
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
from bus.redis_client import CALL_SECONDS
from bus.redis_connection import Address, Command, Connection
from bus.redis_scripts import Scripts
from bus.topics import Topic
from chassis.backoff import Backoff

_COUNT = 64
"""Maximum entries of a topic per read, far below every bound: a follower that reads fewer was not overtaken by trimming."""
_CHECK_SECONDS = 1.0
"""Interval between checks, and the longest time a read blocks."""

_log = structlog.get_logger(__name__)


class _Position:
    """The follower's position in one stream."""

    __slots__ = ("cursor", "seen", "topic")

    def __init__(self, topic: Topic) -> None:
        self.topic = topic
        self.cursor = "0-0"
        """Id of the last entry read."""
        self.seen = 0
        """Number of entries from the first of the stream up to the cursor."""

    def move_to_end(self, state: _State | None) -> None:
        """Skip everything published so far."""
        if state is not None:
            self.cursor, self.seen = state.last, state.added

    def compare(self, state: _State | None, unread: int | None) -> str | None:
        """Compare with the server, where `unread` entries follow the cursor (None if unknown).

        Return the reason why entries may be missing, or None.
        """
        if state is None or _order(state.last) < _order(self.cursor):
            at_start = self.cursor == "0-0"
            self.cursor, self.seen = "0-0", 0
            return None if at_start else "wiped"
        if unread is None:
            return None
        missed = state.added - unread - self.seen
        self.seen += missed
        if missed == 0:
            return None
        return "trimmed" if missed > 0 else "wiped"


class _State:
    """The server's counters for one stream."""

    __slots__ = ("added", "first", "last", "length")

    def __init__(self, answer: list[Any]) -> None:
        self.added = int(answer[0])
        self.length = int(answer[1])
        self.first: str = answer[2].decode()
        self.last: str = answer[3].decode()

    def unread(self, cursor: str, read: int) -> int | None:
        """Return how many entries follow the cursor, or None if unknown. `read` of them were read in the same transaction."""
        if self.length == 0 or _order(self.first) > _order(cursor):
            return self.length
        return read if read < _COUNT else None


class Follower:
    """The context manager and iterator of one follower."""

    def __init__(self, address: Address, scripts: Scripts, topics: Sequence[Topic]) -> None:
        self._address = address
        self._scripts = scripts
        self._positions = {redis_keys.stream(topic.name): _Position(topic) for topic in topics}
        """By stream key."""
        self._behind = False
        """The last read returned the maximum for some topic, so more entries are waiting."""
        self._connection: Connection | None = None
        self._run: bytes = b""
        """The server's run id. It changes on a restart or fail-over."""
        self._epoch: bytes = b""
        """Id of the data set, written by a follower. It changes after a wipe."""
        self._restarted = False
        """The next check must report `Lost` for every topic."""
        self._next_check = 0.0
        """Loop time of the next check."""
        self._ready: deque[Delivery | Lost] = deque()
        """Items read but not yet returned. Nothing more is read until it is empty."""
        self._backoff = Backoff()

    async def __aenter__(self) -> Self:
        await self._connect()
        states, _ = await self._query(reading=False)
        for key, position in self._positions.items():
            position.move_to_end(states[key])
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
        item = self._ready.popleft()
        _record(item)
        return item

    async def _fill(self) -> None:
        if self._connection is None:
            await self._connect()
        if self._behind or asyncio.get_running_loop().time() >= self._next_check:
            await self._check()
        else:
            milliseconds = int(_CHECK_SECONDS * 1000)
            (answer,) = await self._call(self._read_command("BLOCK", milliseconds), seconds=_CHECK_SECONDS + CALL_SECONDS)
            read = _by_key(answer)
            if any(len(entries) >= _COUNT for entries in read.values()):
                await self._check()  # so many waiting entries: trimming may have overtaken this read, so repeat it with a check
            else:
                self._take(read)

    async def _check(self) -> None:
        """Read without blocking, and compare the counts in the same transaction."""
        epoch = self._epoch
        states, read = await self._query(reading=True)
        wiped = self._epoch != epoch
        reasons: dict[str, list[str]] = defaultdict(list)
        for key, position in self._positions.items():
            state = states[key]
            cursor = position.cursor
            reason = position.compare(state, state.unread(cursor, len(read.get(key, ()))) if state else 0)
            if position.cursor != cursor:
                read.pop(key, None)  # read after a cursor that is no longer valid
            if wiped or reason == "wiped":
                reasons["wiped"].append(position.topic.name)
            elif reason or self._restarted:
                reasons[reason or "disconnected"].append(position.topic.name)
        self._restarted = False
        self._ready.extend(Lost(tuple(topics), reason) for reason, topics in reasons.items())
        self._take(read)

    async def _query(self, *, reading: bool) -> tuple[dict[str, _State | None], dict[str, list[Any]]]:
        """Return the streams' states and, when `reading`, the entries after the cursors, in one transaction."""
        new_epoch = secrets.token_hex(8)
        commands: list[Command] = [
            ("EXPIRE", key(position.topic.name), position.topic.idle_seconds)
            for position in self._positions.values()
            if position.topic.idle_seconds
            for key in (redis_keys.stream, redis_keys.size)
        ]
        commands += [("MULTI",), self._scripts.stream_state.call([redis_keys.EPOCH], new_epoch, *self._positions)]
        commands += [self._read_command(), ("EXEC",)] if reading else [("EXEC",)]
        answers = (await self._call(*commands, seconds=CALL_SECONDS))[-1]
        if answers is None or any(isinstance(answer, hiredis.ReplyError) for answer in answers):
            raise BusUnavailable("the server refused the check")
        (self._epoch, *states), *read = answers
        self._next_check = asyncio.get_running_loop().time() + _CHECK_SECONDS
        by_key = dict(zip(self._positions, (_State(state) if state else None for state in states), strict=True))
        return by_key, _by_key(read[0] if read else None)

    def _read_command(self, *options: str | int) -> Command:
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
        except BaseException:  # includes cancellation
            connection.close()
            raise
        run = next(line for line in bytes(information).splitlines() if line.startswith(b"run_id:"))
        self._restarted |= run != self._run
        self._run = run
        self._next_check = 0.0
        self._connection = connection

    async def _call(self, *commands: Command, seconds: float) -> list[Any]:
        if self._connection is None:
            raise BusUnavailable("not connected")
        return await self._connection.call(commands, seconds)

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _record(item: Delivery | Lost) -> None:
    match item:
        case Delivery(topic, entries):
            metrics.DELIVERED_ENTRIES.labels(metrics.kind_of(topic), "follow").inc(len(entries))
        case Lost(topics, reason):
            metrics.LOST.labels(reason).inc(len(topics))
            _log.warning("bus_follow_lost", reason=reason, topics=len(topics))


def _by_key(answer: Mapping[bytes, list[Any]] | None) -> dict[str, list[Any]]:
    return {key.decode(): entries for key, entries in (answer or {}).items()}


def _order(id_: str) -> tuple[int, int]:
    """Return a sort key for a stream id, `milliseconds-sequence`."""
    milliseconds, _, sequence = id_.partition("-")
    return int(milliseconds), int(sequence or 0)

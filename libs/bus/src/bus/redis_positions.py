"""Reads streams from a position in each, detects missed entries by counting, and reports them with `Lost`.

`redis_follow` starts at the end of the streams, `redis_read` at stored cursors; a "follower" below is either.
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
import logging
import re
import secrets
import time
from collections import defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import hiredis
import structlog

from bus import metrics, redis_keys
from bus.bus import FOLLOW_BYTES, LINGER_SECONDS, BusUnavailable, Current, Delivery, Entry, Gone, Lost, ReadItem, no_linger
from bus.redis_client import CALL_SECONDS
from bus.redis_connection import Address, Command, Connection
from bus.redis_scripts import Scripts
from bus.topics import Topic
from chassis.backoff import Backoff

_COUNT = 32
"""Maximum entries of a topic per waiting read, far below every bound: a follower that reads fewer was not overtaken by trimming.

A waiting read is not bounded by bytes, but all that it can return was published within the last second: later than that, there
is a check, and what a check reads is bounded (`FOLLOW_BYTES`).
"""
_LOOK_COUNT = 64
"""Maximum entries of a topic that a check reads."""
_CHECK_SECONDS = 1.0
"""Interval between checks, and the longest time a read blocks."""

_RUN_ID = b"run_id:"
_CURSOR = re.compile(r"([0-9a-f]+)/([0-9a-f]+)/(\d+-\d+)/(\d+)")

_log = structlog.get_logger(__name__)


class _Position:
    """The follower's position in one stream."""

    __slots__ = ("cursor", "origin", "seen", "topic")

    def __init__(self, topic: Topic) -> None:
        self.topic = topic
        self.origin: tuple[str, str] | None = None
        """The epoch and run id under which a stored cursor was read; None once it was compared with the server's."""
        self.cursor = "0-0"
        """Id of the last entry read."""
        self.seen = 0
        """Number of entries from the first of the stream up to the cursor."""

    @classmethod
    def stored(cls, topic: Topic, cursor: str) -> _Position:
        """The position that a reader has stored; an unreadable one counts as none."""
        position = cls(topic)
        position.origin = ("", "")
        if found := _CURSOR.fullmatch(cursor):
            epoch, run, position.cursor, seen = found.groups()
            position.origin, position.seen = (epoch, run), int(seen)
        return position

    def text(self, epoch: str, run: str) -> str:
        """The position in the form in which a reader stores it."""
        return f"{epoch}/{run}/{self.cursor}/{self.seen}"

    def resume(self, state: _State | None, epoch: str, run: str) -> str | None:
        """Compare the origin of a stored position with the server. Return the reason why entries may be missing, or None.

        Without a stored position, or in another data set, skips everything published so far.
        """
        origin, self.origin = self.origin, None
        if origin is None or origin == (epoch, run):
            return None
        if origin[0] == epoch:
            return "disconnected"
        self.cursor, self.seen = "0-0", 0
        self.move_to_end(state)
        return "wiped" if origin[0] else "new"

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

    def unread(self, cursor: str, read: _Read) -> int | None:
        """Return how many entries follow the cursor, or None if unknown. `read` was read in the same transaction."""
        if self.length == 0 or _order(self.first) > _order(cursor):
            return self.length
        return len(read.entries) if read.complete else None


class _Read(NamedTuple):
    """What was read of one stream."""

    entries: list[Any]
    complete: bool
    """No entry is left after these."""


_NOTHING = _Read([], complete=True)


class Positions:
    """Streams with a position in each: reads them over one connection, and checks that no entry is missed.

    With `stored`, deliveries carry cursors, and each check reports the topics that are read completely (`Current`).
    """

    def __init__(
        self,
        address: Address,
        scripts: Scripts,
        topics: Sequence[Topic] = (),
        *,
        stored: bool = False,
        linger: Callable[[], float] = no_linger,
    ) -> None:
        self._stored = stored
        self._linger = linger
        self._address = address
        self._scripts = scripts
        self._positions = {redis_keys.stream(topic.name): _Position(topic) for topic in topics}
        """By stream key."""
        self._behind = False
        """The last read did not return everything, so more entries are waiting."""
        self._first = 0
        """Index of the topic that the next check reads first, so that a busy topic does not keep the others waiting."""
        self._connection: Connection | None = None
        self._run: bytes = b""
        """The server's run id. It changes on a restart or fail-over."""
        self._epoch: bytes = b""
        """Id of the data set, written by a follower. It changes after a wipe."""
        self._restarted = False
        """The next check must report `Lost` for every topic."""
        self._next_check = 0.0
        """Loop time of the next check."""
        self._ready: deque[ReadItem] = deque()
        """Items read but not yet returned. Nothing more is read until it is empty."""
        self._backoff = Backoff()

    @property
    def reading(self) -> bool:
        """Whether there is a topic to read, or an item to return."""
        return bool(self._positions or self._ready)

    def add(self, topic: Topic, cursor: str) -> None:
        """Read a topic from a stored cursor."""
        self._positions[redis_keys.stream(topic.name)] = _Position.stored(topic, cursor)
        self._next_check = 0.0

    def remove(self, topic: str) -> None:
        """Stop reading a topic, and report that. What was read of it and not returned is discarded."""
        if self._positions.pop(redis_keys.stream(topic), None):
            self._ready = deque(item for item in self._ready if isinstance(item, Lost) or item.topic != topic)
            self._ready.append(Gone(topic))

    async def move_to_end(self) -> None:
        """Skip everything published so far. Raises `BusUnavailable`."""
        await self._connect()
        states, _ = await self._query(self._positions, reading=False)
        for key, position in self._positions.items():
            position.move_to_end(states[key])
        self._restarted = False

    async def next(self) -> ReadItem:
        """The next item. Failures of the bus delay it. Call it only while `reading`."""
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

    def close(self) -> None:
        """Close the connection."""
        self._drop()

    async def _fill(self) -> None:
        if self._connection is None:
            await self._connect()
        if self._behind or asyncio.get_running_loop().time() >= self._next_check:
            await self._check()
        else:
            if pause := min(self._linger(), LINGER_SECONDS):
                await asyncio.sleep(pause)
            milliseconds = int(_CHECK_SECONDS * 1000)
            positions = dict(self._positions)
            cursors = [position.cursor for position in positions.values()]
            read_command: Command = ("XREAD", "COUNT", _COUNT, "BLOCK", milliseconds, "STREAMS", *positions, *cursors)
            (answer,) = await self._call(read_command, seconds=_CHECK_SECONDS + CALL_SECONDS)
            read = {key.decode(): _Read(entries, len(entries) < _COUNT) for key, entries in (answer or {}).items()}
            if all(each.complete for each in read.values()):
                self._take(read, positions)
            else:
                await self._check()  # so many waiting entries: trimming may have overtaken this read, so repeat it with a check

    async def _check(self) -> None:
        """Read without blocking, and compare the counts in the same transaction."""
        epoch, positions, asked_at = self._epoch, dict(self._positions), time.time()
        states, read = await self._query(positions, reading=True)
        wiped = epoch not in (b"", self._epoch)
        reasons: dict[str, list[str]] = defaultdict(list)
        for key, position in positions.items():
            state = states[key]
            cursor, stored = position.cursor, position.origin is not None
            reason = position.resume(state, self._epoch.decode(), self._run.decode())
            if position.cursor == cursor:
                missed = position.compare(state, state.unread(cursor, read.get(key, _NOTHING)) if state else 0)
                reason = missed or reason
            if position.cursor != cursor:
                read.pop(key, None)  # read after a cursor that is no longer valid
            if stored:
                if reason:
                    reasons[reason].append(position.topic.name)
            elif wiped or reason == "wiped":
                reasons["wiped"].append(position.topic.name)
            elif reason or self._restarted:
                reasons[reason or "disconnected"].append(position.topic.name)
        self._restarted = False
        self._ready.extend(Lost(tuple(topics), reason) for reason, topics in reasons.items())
        self._take(read, positions)
        for key, position in positions.items() if self._stored else ():
            if self._positions.get(key) is position and read.get(key, _NOTHING).complete:
                self._ready.append(Current(position.topic.name, self._text(position), asked_at))

    async def _query(
        self, positions: Mapping[str, _Position], *, reading: bool
    ) -> tuple[dict[str, _State | None], dict[str, _Read]]:
        """Return the streams' states and, when `reading`, entries after the cursors, in one transaction."""
        new_epoch = secrets.token_hex(8)
        commands: list[Command] = [
            ("EXPIRE", key(position.topic.name), position.topic.idle_seconds)
            for position in positions.values()
            if position.topic.idle_seconds
            for key in (redis_keys.stream, redis_keys.size)
        ]
        commands += [("MULTI",), self._scripts.stream_state.call([redis_keys.EPOCH], new_epoch, *positions)]
        keys = [*positions][self._first :] + [*positions][: self._first]
        self._first = (self._first + 1) % len(keys)
        if reading:
            cursors = [each for key in keys for each in (key, positions[key].cursor)]
            commands.append(self._scripts.look.call([], _LOOK_COUNT, FOLLOW_BYTES, *cursors))
        commands.append(("EXEC",))
        answers = (await self._call(*commands, seconds=CALL_SECONDS))[-1]
        if answers is None or any(isinstance(answer, hiredis.ReplyError) for answer in answers):
            raise BusUnavailable("the server refused the check")
        (self._epoch, *states), *read = answers
        self._next_check = asyncio.get_running_loop().time() + _CHECK_SECONDS
        by_key = dict(zip(positions, (_State(state) if state else None for state in states), strict=True))
        return by_key, {key: _Read(found[1:], bool(found[0])) for key, found in zip(keys, read[0] if read else (), strict=False)}

    def _take(self, read: Mapping[str, _Read], positions: Mapping[str, _Position]) -> None:
        """Queue what was read at `positions`, except of topics that were removed meanwhile."""
        self._behind = not all(each.complete for each in read.values())
        for key, found in read.items():
            position = positions[key]
            if not found.entries or self._positions.get(key) is not position:
                continue
            entries = [Entry(id_.decode(), fields[1]) for id_, fields in found.entries]
            position.cursor = entries[-1].id
            position.seen += len(entries)
            self._ready.append(Delivery(position.topic.name, entries, self._text(position)))

    def _text(self, position: _Position) -> str:
        """The cursor of a delivery."""
        return position.text(self._epoch.decode(), self._run.decode()) if self._stored else ""

    async def _connect(self) -> None:
        connection = await Connection.open(self._address, CALL_SECONDS, scripts=self._scripts.sources())
        try:
            (information,) = await connection.call([("INFO", "server")], CALL_SECONDS)
        except BaseException:  # includes cancellation
            connection.close()
            raise
        run = next(line[len(_RUN_ID) :] for line in bytes(information).splitlines() if line.startswith(_RUN_ID))
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


def _record(item: ReadItem) -> None:
    match item:
        case Delivery(topic, entries, cursor):
            metrics.DELIVERED_ENTRIES.labels(metrics.kind_of(topic), "read" if cursor else "follow").inc(len(entries))
        case Lost(topics, reason):
            metrics.LOST.labels(reason).inc(len(topics))
            level = logging.INFO if reason == "new" else logging.WARNING
            _log.log(level, "bus_follow_lost", reason=reason, topics=len(topics))


def _order(id_: str) -> tuple[int, int]:
    """Return a sort key for a stream id, `milliseconds-sequence`."""
    milliseconds, _, sequence = id_.partition("-")
    return int(milliseconds), int(sequence or 0)

"""What is kept of a session that has ended, so that its client can go on with it: where it stood, and what was written last."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass

import msgspec

from gateway.model import Connection
from gateway.trail import Kind, Mark

HELD_SECONDS = 120.0
"""After the session's end."""
STATE_BYTES = 128 * 1024
"""Of one session: about 2,000 channels. A larger one is not kept."""
HELD_BYTES = 64 * 1024 * 1024
"""Of all sessions; beyond that the oldest are dropped."""
MOVED = 50_000
"""Sessions of which is known that another gateway has them; of more, the oldest are forgotten."""
LOST = -1
"""The position in a channel that the client is still to lose."""


class State(msgspec.Struct, frozen=True, array_like=True):
    """A session at its end."""

    tenant: str
    user: str
    epoch: str
    """The store's epoch of its positions."""
    places: dict[str, int]
    """Its channels, with the position up to which each had been written or was to be."""
    marks: list[tuple[str, int, int]]
    """What was written last, as `Mark`s."""
    lasts: list[str | None]
    """Offsets by which a client names the moment before `marks`."""
    watched: list[str]
    status: str

    @classmethod
    def of(cls, connection: Connection, epoch: str, status: str) -> State | None:
        """The state of a connection that ends; None if it is not known exactly."""
        trail, account = connection.trail, connection.account
        if trail is None or trail.catching_named:
            return None
        standing = ((key, channel.position(connection)) for key, channel in account.channels.items())
        return cls(
            account.tenant,
            account.user,
            epoch,
            {key: position for key, position in standing if position is not None},
            [(mark.channel, mark.seq, int(mark.kind)) for mark in trail.marks],
            list(trail.lasts),
            sorted(connection.watched),
            status,
        )

    def positions(self, offset: str | None) -> dict[str, int] | None:
        """Where the channels stood for a client that has received everything up to `offset`; None if that is not known."""
        marks = [Mark(channel, seq, Kind(kind)) for channel, seq, kind in self.marks]
        points = [0] if offset in self.lasts else []
        points += [number for number, mark in enumerate(marks, 1) if mark.kind is Kind.EVENT and mark.offset == offset]
        if len(points) != 1:  # unknown, or ambiguous
            return None
        received = {mark.channel: mark for mark in marks[: points[0]]}
        coming = {mark.channel: mark for mark in reversed(marks[points[0] :])}
        found: dict[str, int] = {}
        for channel in self.places.keys() | coming.keys():
            position = _position(self.places.get(channel), received.get(channel), coming.get(channel))
            if position is not None:
                found[channel] = position
        return found


@dataclass(frozen=True, slots=True)
class _Held:
    state: bytes
    until: float
    """In loop time."""


class Held:
    """The sessions that are kept, by `pid`."""

    def __init__(self) -> None:
        self._held: OrderedDict[str, _Held] = OrderedDict()
        """Oldest first."""
        self._size = 0
        """Bytes of all states."""
        self._moved: OrderedDict[str, str] = OrderedDict()
        """The gateways that have taken sessions, oldest first."""

    def put(self, pid: str, state: bytes, seconds: float = HELD_SECONDS) -> None:
        """Keep a session, unless it is too large."""
        self.drop(pid)
        self._moved.pop(pid, None)
        if len(state) > STATE_BYTES:
            return
        now = asyncio.get_running_loop().time()
        self._held[pid] = _Held(state, now + seconds)
        self._size += len(state)
        while self._size > HELD_BYTES or next(iter(self._held.values())).until <= now:
            self.drop(next(iter(self._held)))

    def take(self, pid: str, tenant: str, user: str) -> State | None:
        """Take a session of this user; None if it is not kept (any more)."""
        held = self._held.get(pid)
        if held is None or held.until <= asyncio.get_running_loop().time():
            return None
        state = decode(held.state)
        if (state.tenant, state.user) != (tenant, user):
            return None
        self.drop(pid)
        return state

    def drop(self, pid: str) -> bool:
        """Stop keeping a session; False if it was not kept."""
        held = self._held.pop(pid, None)
        self._size -= len(held.state) if held is not None else 0
        return held is not None

    def moved(self, pid: str, gateway: str) -> None:
        """Another gateway has the session now."""
        self._moved[pid] = gateway
        if len(self._moved) > MOVED:
            self._moved.popitem(last=False)

    def gateway_of(self, pid: str) -> str:
        """The gateway that has taken the session; empty if that is not known."""
        return self._moved.get(pid, "")

    def __contains__(self, pid: object) -> bool:
        """Whether the session is kept."""
        return pid in self._held

    def newest(self, most_bytes: int) -> list[tuple[str, bytes, float]]:
        """The sessions, the newest first, up to so many bytes; with the seconds for which each is still to be kept."""
        now, size = asyncio.get_running_loop().time(), 0
        found = []
        for pid, held in reversed(self._held.items()):
            size += len(held.state)
            if held.until <= now or size > most_bytes:
                break
            found.append((pid, held.state, held.until - now))
        return found


encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(State).decode


def _position(place: int | None, received: Mark | None, coming: Mark | None) -> int | None:
    """A client's position in a channel, by the last mark that it has received and the next; None if it does not have it."""
    if coming is not None and coming.kind is Kind.EVENT:
        return coming.seq - 1
    if coming is not None and coming.kind is Kind.JOINED:
        return None
    if coming is not None:  # it is to be told that the channel is lost
        return LOST if received is None or received.kind is Kind.LEFT else received.seq
    if place is None:
        return None
    return max(place, received.seq) if received is not None else place

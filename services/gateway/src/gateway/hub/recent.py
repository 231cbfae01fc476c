"""Records which events pass while sessions are being loaded, so that no connection starts with a gap or after a removal.

A session is a snapshot of the store, and events are committed between the snapshot and its arrival in the hub. The gateway
follows the bus all the time, so such an event is either still to come (the hub takes it, as it knows the channel by then) or
has passed since the load began. The latter are recorded here: the highest event of each channel that the hub does not know, and
every membership event. Recording too much is harmless, as events up to the snapshot's position are part of the snapshot.

Two generations bound the memory: an event is kept for at least `LOAD_SECONDS`, and a load that takes longer must not be used. The
snapshot must come from a store that has everything published before the load began (the primary, not a replica).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from gateway.model import order
from hubbub.events.v1.events_pb2 import Event

_NONE = (0, 0)
LOAD_SECONDS = 15.0
"""The longest load."""


class Load:
    """One session being loaded."""

    __slots__ = ("_losses", "_recent", "_started")

    def __init__(self, recent: Recent) -> None:
        self._recent = recent
        self._started = recent.now()
        self._losses = recent.losses

    @property
    def expired(self) -> bool:
        """Whether the load took so long that events may have been forgotten."""
        return self._recent.now() - self._started > LOAD_SECONDS

    @property
    def nothing_passed(self) -> bool:
        """Whether no event passed in any channel unknown to the hub."""
        older, current = self._recent.heads
        return not older and not current

    @property
    def lossy(self) -> bool:
        """Whether the bus lost events during the load: they may have come after the snapshot."""
        return self._recent.losses != self._losses

    def head(self, channel: str) -> tuple[int, int]:
        """The highest event and roster change that passed in a channel unknown to the hub; 0 if none did."""
        older, current = self._recent.heads
        if not older and not current:
            return _NONE
        (seq, roster), (later_seq, later_roster) = older.get(channel, _NONE), current.get(channel, _NONE)
        return max(seq, later_seq), max(roster, later_roster)

    def memberships(self, tenant: str, user: str) -> dict[str, Event]:
        """The last membership event of the user that passed, by channel."""
        last: dict[str, Event] = {}
        for generation in self._recent.members:
            for channel, event in generation.get((tenant, user), {}).items():
                if channel not in last or order(last[channel]) < order(event):
                    last[channel] = event
        return last


class Recent:
    """The record. It is empty while no session is being loaded."""

    def __init__(self) -> None:
        self.now = asyncio.get_running_loop().time
        self.heads: tuple[dict[str, tuple[int, int]], dict[str, tuple[int, int]]] = ({}, {})
        """Highest event and roster change by channel: the older and the current generation."""
        self.members: tuple[dict[tuple[str, str], dict[str, Event]], dict[tuple[str, str], dict[str, Event]]] = ({}, {})
        """Last membership event by (tenant, user) and channel, likewise."""
        self.losses = 0
        """How often the bus has lost events."""
        self._loads = 0
        self._turned = 0.0
        """When the current generation began."""

    @contextmanager
    def load(self) -> Iterator[Load]:
        """Load a session and put it into the hub inside the block."""
        if self._loads == 0:
            self._turned = self.now()
        self._loads += 1
        try:
            yield Load(self)
        finally:
            self._loads -= 1
            if self._loads == 0:
                self.forget()

    def forget(self) -> None:
        """Forget everything: the store has begun a new epoch."""
        self.heads, self.members = ({}, {}), ({}, {})

    def passed(self, channel: str, seq: int, roster: int) -> None:
        """Events and roster changes up to these numbers passed in a channel unknown to the hub."""
        if not self._loads:
            return
        self._turn()
        current = self.heads[1]
        known_seq, known_roster = current.get(channel, _NONE)
        if seq > known_seq or roster > known_roster:
            current[channel] = max(seq, known_seq), max(roster, known_roster)

    def member(self, event: Event) -> None:
        """A membership event passed."""
        if not self._loads:
            return
        self._turn()
        known = self.members[1].setdefault((event.tenant, event.subject), {})
        if event.channel not in known or order(known[event.channel]) < order(event):
            known[event.channel] = event

    def _turn(self) -> None:
        now = self.now()
        if now - self._turned > LOAD_SECONDS:
            self._turned = now
            self.heads, self.members = (self.heads[1], {}), (self.members[1], {})

"""Remembers what passed by while sessions were being loaded, so that no socket starts with a hole or past a fence.

A session is a snapshot of the store, and the world moves on before the gateway has put it into the hub. The bus is
followed all the time, so whatever was committed after the snapshot was taken either is still to come (then the hub, which
knows the channel by then, takes it) or has passed since the load began. The second kind is remembered here: for channels
that the hub does not know, the highest entry; and every membership entry. Remembering more than needed does no harm: an
entry at or below the snapshot's position is part of the snapshot.

Two generations bound it: an entry is kept for at least `LOAD_SECONDS`, and a load that takes longer must not be used.
The snapshot must come from a store that knows everything published before the load began (the primary, not a replica).
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from hubbub.events.v1.events_pb2 import Event

LOAD_SECONDS = 15.0
"""A load takes no longer."""


class Load:
    """One session being loaded."""

    __slots__ = ("_recent", "losses", "started")

    def __init__(self, recent: Recent, started: float, losses: int) -> None:
        self._recent = recent
        self.started = started
        self.losses = losses
        """How often the bus had lost entries when the load began."""

    @property
    def expired(self) -> bool:
        """Whether it took so long that something may have been forgotten."""
        return self._recent.now() - self.started > LOAD_SECONDS

    def head(self, channel: str) -> int:
        """The highest entry that passed in a channel the hub did not know; 0 where none did."""
        older, current = self._recent.heads
        return max(older.get(channel, 0), current.get(channel, 0)) if older or current else 0

    def memberships(self, tenant: str, user: str) -> dict[str, Event]:
        """The last membership entry about the user that passed, by channel."""
        last: dict[str, Event] = {}
        for generation in self._recent.members:
            for channel, event in generation.get((tenant, user), {}).items():
                if channel not in last or last[channel].seq < event.seq:
                    last[channel] = event
        return last


class Recent:
    """The memory. It records only while a session is being loaded."""

    def __init__(self) -> None:
        self.now = asyncio.get_running_loop().time
        self.heads: tuple[dict[str, int], dict[str, int]] = ({}, {})
        """Highest entry by channel: the older and the current generation."""
        self.members: tuple[dict[tuple[str, str], dict[str, Event]], dict[tuple[str, str], dict[str, Event]]] = ({}, {})
        """Last membership entry by (tenant, user) and channel, likewise."""
        self._loads = 0
        self._turned = 0.0
        """When the current generation began."""

    @contextmanager
    def load(self, losses: int) -> Iterator[Load]:
        """Load a session and put it into the hub inside the block."""
        if self._loads == 0:
            self._turned = self.now()
        self._loads += 1
        try:
            yield Load(self, self.now(), losses)
        finally:
            self._loads -= 1
            if self._loads == 0:
                self.heads, self.members = ({}, {}), ({}, {})

    def passed(self, channel: str, seq: int) -> None:
        """An entry of a channel that the hub does not know went by."""
        if not self._loads:
            return
        self._turn()
        current = self.heads[1]
        if seq > current.get(channel, 0):
            current[channel] = seq

    def member(self, event: Event) -> None:
        """A membership entry went by."""
        if not self._loads:
            return
        self._turn()
        known = self.members[1].setdefault((event.tenant, event.subject), {})
        if event.channel not in known or known[event.channel].seq < event.seq:
            known[event.channel] = event

    def _turn(self) -> None:
        now = self.now()
        if now - self._turned > LOAD_SECONDS:
            self._turned = now
            self.heads, self.members = (self.heads[1], {}), (self.members[1], {})

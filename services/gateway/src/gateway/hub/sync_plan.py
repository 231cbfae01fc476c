"""What one `sync` needs: by `catchup`, for each channel of the connection."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from gateway.model import Channel, Connection
from gateway.protocol.outgoing import Ref, SyncStatus

GROUP_EVENTS = 500
"""Events of several channels that are read together."""


@dataclass(slots=True)
class Behind:
    """One channel whose missing events are sent on the hub's word."""

    channel: Channel
    after: int
    through: int
    floor: int

    @property
    def count(self) -> int:
        """How many events are missing."""
        return self.through - self.after


@dataclass(slots=True)
class Read:
    """One channel about which the store is asked."""

    channel: Channel
    position: int
    named: bool
    """The client named the channel; otherwise it starts at the position from `hello`."""
    head: int
    """The channel's head when buffering began."""
    upcoming: int = 0
    """Number of the next event."""
    through: int = 0
    """Number of the last event."""


@dataclass(slots=True)
class Sync:
    """One `sync` that is being answered."""

    connection: Connection
    ref: Ref
    statuses: dict[str, SyncStatus] = field(default_factory=dict)
    """Status of each channel that the client named."""
    quiet: list[Channel] = field(default_factory=list)
    """Channels that the client did not name and in which nothing has happened since `hello`."""
    at_hand: dict[Channel, int] = field(default_factory=dict)
    """Other channels that need not be read, with their positions."""
    behind: list[Behind] = field(default_factory=list)
    """Channels to send from what `missed` has or reads."""
    reads: dict[str, Read] = field(default_factory=dict)
    """Channels about which to ask the store."""
    lost: list[str] = field(default_factory=list)
    """Channels that are gone and that the client did not name."""
    announced: bool = False
    """`synced` is queued."""

    def channels(self) -> list[Channel]:
        """Every channel of this sync."""
        behind = (each.channel for each in self.behind)
        return [*self.at_hand, *behind, *(read.channel for read in self.reads.values())]


def groups(behind: Sequence[Behind]) -> Iterator[list[Behind]]:
    """Cut into groups of at most `GROUP_EVENTS`, or of one channel."""
    group: list[Behind] = []
    count = 0
    for each in behind:
        if group and count + each.count > GROUP_EVENTS:
            yield group
            group, count = [], 0
        group.append(each)
        count += each.count
    if group:
        yield group

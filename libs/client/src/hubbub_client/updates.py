"""What a client tells the application, in the order in which it happened."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Event:
    """One entry of a channel's log. The entries of a channel come in order, each once, without a gap."""

    channel: str
    seq: int
    """Its number in the channel."""
    kind: str
    """Such as `message.posted`. The server may send kinds that are newer than this package; ignore them."""
    actor: str
    """The user who did it."""
    at: str
    """When it was stored: RFC 3339, UTC."""
    data: Mapping[str, Any]
    """Depends on `kind`: the table of log entries in docs/protocol.md."""


@dataclass(frozen=True, slots=True)
class Reset:
    """The events of a channel up to `seq` do not follow. Discard what you have of the channel, or read it with `api.log`."""

    channel: str
    seq: int
    """The next event has the number after it."""
    held: int
    """The last number that the client had."""
    epoch: bool
    """The store has lost entries: numbers up to `held` may belong to other entries now."""


@dataclass(frozen=True, slots=True)
class Joined:
    """The user gained a channel. Its events follow."""

    channel: str
    seq: int
    """The first event has the number after it."""
    kind: str
    name: str
    role: str


@dataclass(frozen=True, slots=True)
class Left:
    """The user lost a channel, or it is gone. Nothing more of it follows."""

    channel: str


@dataclass(frozen=True, slots=True)
class Signal:
    """Best effort, without a number: it may be missing after a reconnect, and when the application reads too slowly."""

    kind: Literal["receipt", "seen", "members", "typing", "presence", "invited"]
    fields: Mapping[str, Any] = field(default_factory=dict)
    """The other fields of the frame of this name in docs/protocol.md."""


Update = Event | Reset | Joined | Left | Signal

SIGNALS = frozenset({"receipt", "seen", "members", "typing", "presence", "invited"})


@dataclass(frozen=True, slots=True)
class Stored:
    """The server has stored a command."""

    channel: str
    seq: int
    """The number of the entry that it made."""
    message: str
    """The id of the message that it made or changed."""
    at: str
    """When it was stored: RFC 3339, UTC."""
    duplicate: bool
    """The same thing had been stored before; the other fields are those of the first time."""

    @classmethod
    def of(cls, ack: Mapping[str, Any]) -> "Stored":
        """Read it from an `ack` frame or from the answer to a post over HTTP."""
        return cls(ack["channel"], ack["seq"], ack["message"], ack["at"], ack.get("duplicate", False))


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """How far the application has read. Save it as JSON, and pass it to the next client to continue there."""

    epoch: str
    positions: Mapping[str, int]
    """The number of the last event that the application has finished with, per channel."""

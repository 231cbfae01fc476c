"""The complete record of a run: every command with its outcome, every event that a reader received, every removal.

`checker` and its rules judge it. Times are seconds of the monotonic clock of the process that drives the run.
"""

import dataclasses
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

TRANSIENT = frozenset({"UNAVAILABLE", "INTERNAL", "RATE_LIMITED", "NOT_AUTHENTICATED"})
"""Refusals after which the command may still be in the log, or may be retried."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One log entry, from any source."""

    seq: int
    kind: str
    actor: str
    at: str
    data: dict[str, Any]

    @classmethod
    def of(cls, frame: dict[str, Any]) -> "Entry":
        """Read the entry from an `event` frame or from an item of `/events`."""
        return cls(frame["seq"], frame["kind"], frame["actor"], frame["at"], frame["data"])


Logs = Mapping[str, Sequence[Entry]]
"""The final log of each channel, read by its owner over HTTP."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One violation of one rule of `checker.RULES`."""

    rule: str
    channel: str
    what: str

    def __str__(self) -> str:
        return f"{self.rule}: {self.what} (channel {self.channel})"


@dataclass(frozen=True, slots=True)
class Acked:
    """The server said that it is stored."""

    seq: int
    message: str
    duplicate: bool = False


@dataclass(frozen=True, slots=True)
class Refused:
    """The server said that it was not done."""

    reason: str


Outcome = Acked | Refused | None
"""None means no answer: it may or may not have happened."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt of one command. A retried post is several attempts with the same key."""

    user: str
    channel: str
    kind: str
    """Kind of the entry that it should create."""
    data: dict[str, Any]
    """Fields that the entry's data must contain."""
    key: str
    """Idempotency key of a post; empty otherwise."""
    began: float
    ended: float
    outcome: Outcome


@dataclass(frozen=True, slots=True)
class Sight:
    """An event as a reader received it."""

    at: float
    entry: Entry


@dataclass(slots=True)
class Stretch:
    """A reader's events of one channel between two (re)starts of the flow."""

    channel: str
    start: int
    """The position before the first event."""
    how: Literal["asked", "reset", "joined", "log"]
    """Who chose `start`: the reader, the server (after a `reset` or in `joined`), or a reading of `/events`."""
    held: int
    """The reader's position before."""
    epoch: str = ""
    """The store's epoch, as `hello` named it."""
    sights: list[Sight] = field(default_factory=list)

    @property
    def position(self) -> int:
        """The last number received."""
        return self.sights[-1].entry.seq if self.sights else self.start


@dataclass(slots=True)
class Reading:
    """Everything that one reader received, in order."""

    reader: str
    user: str
    stretches: list[Stretch] = field(default_factory=list)
    settled: bool = False
    """The reader was connected and waited at the end, so an event that is missing then is lost."""

    def begin(self, channel: str, start: int, how: Literal["asked", "reset", "joined", "log"], epoch: str = "") -> Stretch:
        """Start a stretch."""
        stretch = Stretch(channel, start, how, self.position(channel), epoch)
        self.stretches.append(stretch)
        return stretch

    def position(self, channel: str) -> int:
        """The last number that the reader has of a channel; 0 for none."""
        return next((one.position for one in reversed(self.stretches) if one.channel == channel), 0)


@dataclass(slots=True)
class Fence:
    """One removal of a user from a channel that was answered and is in the log."""

    user: str
    channel: str
    removal: int
    """Number of the removal's entry."""
    opened: float = math.inf
    """When the request to let the user in again was sent."""
    asked: float = 0.0
    """When the removal was asked for."""


@dataclass(frozen=True, slots=True)
class Peek:
    """What history over HTTP showed to a user at one moment."""

    user: str
    channel: str
    at: float
    highest: int
    """The highest number in it; 0 if it was empty."""


@dataclass(frozen=True, slots=True)
class Promotion:
    """A standby took over. It may have lacked the last commits."""

    at: float
    """When it began to serve."""
    epoch: str
    """The epoch that began."""
    heads: dict[str, int]
    """The heads that it had by then: entries above them are lost."""


@dataclass(frozen=True, slots=True)
class FeedStep:
    """What happened next to a product that follows the log."""

    what: Literal["stream", "event", "reset", "acknowledged"]
    """A stream began; an event came; events above `seq` became void; everything that the stream sent so far was acknowledged."""
    epoch: str = ""
    channel: str = ""
    seq: int = 0
    entry: Entry | None = None


@dataclass(slots=True)
class Record:
    """One run."""

    sync_events: int
    """Number of missing events beyond which the server may answer `reset`."""
    attempts: list[Attempt] = field(default_factory=list)
    readings: list[Reading] = field(default_factory=list)
    fences: list[Fence] = field(default_factory=list)
    peeks: list[Peek] = field(default_factory=list)
    promotions: list[Promotion] = field(default_factory=list)
    feed: list[FeedStep] = field(default_factory=list)
    """What a product received."""
    faults: list[str] = field(default_factory=list)
    """The faults, in words, in order."""

    def save(self, path: Path, logs: Logs) -> None:
        """Save everything, for a person to investigate."""
        path.parent.mkdir(parents=True, exist_ok=True)
        whole = {**dataclasses.asdict(self), "logs": {key: list(map(dataclasses.asdict, log)) for key, log in logs.items()}}
        path.write_text(json.dumps(whole, indent=1, default=str))


def deletions(log: Iterable[Entry]) -> frozenset[str]:
    """Return the messages that a log says are deleted."""
    return frozenset(entry.data["message"] for entry in log if entry.kind == "message.deleted")


def shows(entry: Entry, wanted: Mapping[str, Any], deleted: frozenset[str]) -> bool:
    """Tell whether an entry's data has all wanted fields; the text of a deleted message may be missing."""
    return all(entry.data.get(name) == value or (name == "text" and _erased(entry, deleted)) for name, value in wanted.items())


def same(seen: Entry, logged: Entry, deleted: frozenset[str]) -> bool:
    """Tell whether a reader received what the log has; either may lack the text of a message that was deleted meanwhile."""
    if _erased(seen, deleted):
        seen = dataclasses.replace(seen, data={**seen.data, "text": logged.data.get("text")})
    head = (seen.kind, seen.actor, seen.at, seen.data.keys())
    return head == (logged.kind, logged.actor, logged.at, logged.data.keys()) and shows(logged, seen.data, deleted)


def _erased(entry: Entry, deleted: frozenset[str]) -> bool:
    return "text" in entry.data and entry.data["text"] is None and entry.data.get("message") in deleted

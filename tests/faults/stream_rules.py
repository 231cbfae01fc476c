"""The guarantees for readers, and what a removed member must not receive."""

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from tests.faults.record import Entry, Finding, Logs, Reading, Record, Stretch, deletions, same


def breaches(reading: Reading, logs: Logs, sync_events: int) -> Iterator[Finding]:
    """Yield every violation in what one reader received."""
    channels: dict[str, list[Stretch]] = defaultdict(list)
    for stretch in reading.stretches:
        channels[stretch.channel].append(stretch)
    for channel, stretches in channels.items():
        log = logs.get(channel, ())
        for rule, what in _channel_breaches(stretches, log, sync_events):
            yield Finding(rule, channel, f"{reading.reader} {what}")
        end = _end(log, reading.user)
        if reading.settled and stretches[-1].position < end:
            yield Finding("tail", channel, f"{reading.reader} stopped at {stretches[-1].position} of {end}")
    for channel, log in logs.items():
        if reading.settled and channel not in channels and (end := _end(log, reading.user)):
            yield Finding("tail", channel, f"{reading.reader} never received any of {end}")


def leaks(record: Record, logs: Logs) -> Iterator[Finding]:
    """Yield every removal without effect, and every entry above a removal that the removed member received.

    Only entries received before the request to let the member in again count: afterwards the member may read what it missed.
    """
    opened = {(fence.user, fence.channel, fence.removal): fence.opened for fence in record.fences}
    for channel, log in logs.items():
        absences = list(_absences(log))
        made = {(user, removal) for user, removal, _ in absences}
        for user, where, removal in opened:
            if where == channel and (user, removal) not in made:
                yield Finding("lost", channel, f"the removal of {user} at {removal}")
        for user, removal, back in absences:
            until = opened.get((user, channel, removal), math.inf if back == math.inf else -math.inf)
            for who, at, seq in _views(record, user, channel):
                if removal < seq < back and at < until:
                    yield Finding("leak", channel, f"{who} saw {seq}, removed at {removal}")


def _absences(log: Sequence[Entry]) -> Iterator[tuple[str, int, float]]:
    """Yield user, number of the removal, and number of the return (infinite for none), for every removal in a log."""
    removed: dict[str, int] = {}
    for entry in log:
        user = entry.data.get("user", "")
        if entry.kind == "member.removed":
            removed[user] = entry.seq
        elif entry.kind == "member.joined" and user in removed:
            yield user, removed.pop(user), entry.seq
    yield from ((user, removal, math.inf) for user, removal in removed.items())


def _channel_breaches(stretches: Sequence[Stretch], log: Sequence[Entry], sync_events: int) -> Iterator[tuple[str, str]]:
    logged = {entry.seq: entry for entry in log}
    deleted = deletions(log)
    for stretch in stretches:
        if stretch.how == "reset" and stretch.held <= stretch.start <= stretch.held + sync_events:
            yield "reset", f"was reset from {stretch.held} to {stretch.start}, within the limit"
        yield from sequence(stretch)
        yield from _contents(stretch, logged, deleted)
    yield from _resurrections(stretches)


def sequence(stretch: Stretch) -> Iterator[tuple[str, str]]:
    """Yield every hole and every repeat in one stretch."""
    last = stretch.start
    for seq in (sight.entry.seq for sight in stretch.sights):
        if seq <= last:
            yield "repeat", f"saw {seq} after {last}"
        elif seq != last + 1:
            yield "hole", f"saw {seq} after {last}"
        last = max(last, seq)


def _contents(stretch: Stretch, logged: Mapping[int, Entry], deleted: frozenset[str]) -> Iterator[tuple[str, str]]:
    for entry in (sight.entry for sight in stretch.sights):
        truth = logged.get(entry.seq)
        if truth is None:
            yield "lost", f"saw {entry.seq}, which the log does not have"
        elif not same(entry, truth, deleted):
            yield "altered", f"saw {entry} where the log has {truth}"


def _resurrections(stretches: Iterable[Stretch]) -> Iterator[tuple[str, str]]:
    gone: set[str] = set()
    for entry in (sight.entry for stretch in stretches for sight in stretch.sights):
        if entry.data.get("text") is not None and entry.data.get("message") in gone:
            yield "resurrected", f"was sent the text of {entry.seq} after its deletion"
        if entry.kind == "message.deleted":
            gone.add(entry.data["message"])


def _views(record: Record, user: str, channel: str) -> Iterator[tuple[str, float, int]]:
    """Yield reader, time and number of every entry of a channel that reached a user."""
    for reading in (one for one in record.readings if one.user == user):
        for stretch in (one for one in reading.stretches if one.channel == channel):
            yield from ((reading.reader, sight.at, sight.entry.seq) for sight in stretch.sights)
    for peek in record.peeks:
        if (peek.user, peek.channel) == (user, channel):
            yield f"{user} over HTTP", peek.at, peek.highest


def _end(log: Sequence[Entry], user: str) -> int:
    """Return the number that a reader who waited must have reached; 0 if the user is no member at the end."""
    for entry in reversed(log):
        if entry.data.get("user") == user and entry.kind in {"member.joined", "member.removed", "member.left"}:
            return log[-1].seq if entry.kind == "member.joined" else 0
    return 0

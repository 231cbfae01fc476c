"""The guarantees for writers: rules about one channel's log and the commands sent to it."""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from tests.faults.record import TRANSIENT, Acked, Attempt, Entry, Refused, deletions, shows

Breaches = Iterator[tuple[str, str]]
"""Pairs of rule and description."""

_CHANGES = {
    "message.edited",
    "message.deleted",
    "reaction.added",
    "reaction.removed",
    "message.pinned",
    "message.unpinned",
}


def breaches(log: Sequence[Entry], attempts: Sequence[Attempt]) -> Breaches:
    """Yield every violation in one channel's log."""
    yield from _numbers(log)
    yield from _erasures(log)
    yield from _posts(log, [attempt for attempt in attempts if attempt.key])
    yield from _changes(log, [attempt for attempt in attempts if not attempt.key])
    yield from _order(attempts)


def _numbers(log: Sequence[Entry]) -> Breaches:
    for expected, entry in enumerate(log, start=1):
        if entry.seq != expected:
            yield "gap", f"the log has {entry.seq} where {expected} belongs"
            return


def _erasures(log: Sequence[Entry]) -> Breaches:
    deleted = deletions(log)
    for entry in log:
        if entry.data.get("text") is not None and entry.data.get("message") in deleted:
            yield "kept", f"{entry.seq} has the text of a deleted message"


def _posts(log: Sequence[Entry], attempts: Sequence[Attempt]) -> Breaches:
    stored: dict[tuple[str, str], list[Entry]] = defaultdict(list)
    for entry in log:
        if entry.kind == "message.posted":
            stored[entry.actor, entry.data["key"]].append(entry)
    tried: dict[tuple[str, str], list[Attempt]] = defaultdict(list)
    for attempt in attempts:
        tried[attempt.user, attempt.key].append(attempt)

    for (user, key), entries in stored.items():
        if len(entries) > 1:
            yield "duplicate", f"{user}'s key {key} is at {[entry.seq for entry in entries]}"
        if (user, key) not in tried:
            yield "phantom", f"{entries[0].seq} has {user}'s key {key}, which was never sent"
    deleted = deletions(log)
    for (user, key), tries in tried.items():
        for rule, what in _post(tries, stored.get((user, key), []), deleted):
            yield rule, f"{user}'s key {key} {what}"


def _post(tries: Sequence[Attempt], entries: Sequence[Entry], deleted: frozenset[str]) -> Breaches:
    acks = [attempt.outcome for attempt in tries if isinstance(attempt.outcome, Acked)]
    if acks and not entries:
        yield "lost", f"was acknowledged as {acks[0].seq} and is not in the log"
        return
    at = {entry.seq for entry in entries}
    messages = {entry.data["message"] for entry in entries}
    for ack in acks:
        if ack.seq not in at or ack.message not in messages:
            yield "number", f"was acknowledged as {ack.seq}, {ack.message} and is {sorted(at)}, {sorted(messages)}"
    for entry in entries:
        if not shows(entry, tries[0].data, deleted):
            yield "altered", f"was sent as {tries[0].data} and is {entry.data}"
        if all(_refused_for_good(attempt) for attempt in tries):
            yield "refused", f"was refused every time and is at {entry.seq}"


def _changes(log: Sequence[Entry], attempts: Sequence[Attempt]) -> Breaches:
    """Edits, deletes, reactions and pins have no key: they are found by number and counted by content."""
    by_seq = {entry.seq: entry for entry in log}
    deleted = deletions(log)
    for attempt in attempts:
        if isinstance(attempt.outcome, Acked):
            for rule, what in _change(attempt, attempt.outcome, by_seq.get(attempt.outcome.seq), deleted):
                yield rule, f"{attempt.user}'s {attempt.kind} {what}"
    tries = Counter(_content(attempt.kind, attempt.user, attempt.data, deleted) for attempt in attempts)
    made = Counter(_content(entry.kind, entry.actor, entry.data, deleted) for entry in log if entry.kind in _CHANGES)
    for content, times in made.items():
        if times > tries[content]:
            yield "duplicate", f"{content} was tried {tries[content]} times and made {times} times"


def _change(attempt: Attempt, ack: Acked, entry: Entry | None, deleted: frozenset[str]) -> Breaches:
    if entry is None:
        yield "lost", f"was acknowledged as {ack.seq}, which is not in the log"
    elif (entry.kind, entry.actor) != (attempt.kind, attempt.user):
        yield "number", f"was acknowledged as {ack.seq}, which is a {entry.kind} of {entry.actor}"
    elif not shows(entry, attempt.data, deleted):
        yield "altered", f"{attempt.data} at {ack.seq} is {entry.data}"


def _content(kind: str, actor: str, data: Mapping[str, object], deleted: frozenset[str]) -> tuple[object, ...]:
    message = data["message"]
    return kind, actor, message, None if message in deleted else data.get("text"), data.get("emoji")


def _order(attempts: Iterable[Attempt]) -> Breaches:
    """Real-time order: a command that was answered before another was first sent has the lower number."""
    began: dict[tuple[str, str], float] = {}
    answered: dict[tuple[str, str], tuple[float, int]] = {}
    for index, attempt in enumerate(attempts):
        command = (attempt.user, attempt.key or f"change {index}")
        began[command] = min(began.get(command, math.inf), attempt.began)
        if isinstance(attempt.outcome, Acked) and (attempt.key or not attempt.outcome.duplicate):
            ended = min(answered.get(command, (math.inf, 0))[0], attempt.ended)
            answered[command] = (ended, attempt.outcome.seq)
    finished = iter(sorted(answered.values()))
    ended, seq = next(finished, (math.inf, 0))
    highest = 0
    for start, own, user in sorted((began[command], answered[command][1], command[0]) for command in answered):
        while ended < start:
            highest = max(highest, seq)
            ended, seq = next(finished, (math.inf, 0))
        if own < highest:
            yield "order", f"{user}'s {own} was first sent after {highest} had been acknowledged"


def _refused_for_good(attempt: Attempt) -> bool:
    return isinstance(attempt.outcome, Refused) and attempt.outcome.reason not in TRANSIENT

"""What a store may lose when a standby takes over, and what readers must be told then.

`surviving` removes from a record what such a store may have lost, so that the other rules hold for what remains.
"""

import dataclasses
import math
from collections import defaultdict
from collections.abc import Iterator, Sequence

from tests.faults import stream_rules
from tests.faults.record import Acked, Attempt, Fence, Finding, Logs, Peek, Promotion, Reading, Record, Stretch, deletions, same


def breaches(record: Record, logs: Logs) -> Iterator[Finding]:
    """Yield every position of another epoch that was resumed, and every entry of a later epoch among those of an earlier one."""
    for reading in record.readings:
        last: dict[str, Stretch] = {}
        for stretch in (each for each in reading.stretches if each.how != "log"):
            before = last.get(stretch.channel)
            last[stretch.channel] = stretch
            if before is not None and before.epoch != stretch.epoch and stretch.how == "asked" and stretch.start:
                yield Finding("epoch", stretch.channel, f"{reading.reader} resumed from {stretch.start} of {before.epoch}")
            kept = _kept(record.promotions, stretch.channel, epoch=stretch.epoch)
            if kept < math.inf:
                yield from (
                    Finding(rule, stretch.channel, f"{reading.reader} {what}") for rule, what in stream_rules.sequence(stretch)
                )
                for seq in _later(stretch, kept, logs):
                    yield Finding("epoch", stretch.channel, f"{reading.reader} saw {seq} of a later epoch than {stretch.epoch}")


def surviving(record: Record) -> Record:
    """The record without acknowledgements, sights and removals that a promoted standby may have lacked."""
    promotions = record.promotions
    if not promotions:
        return record
    return dataclasses.replace(
        record,
        attempts=[_attempt(attempt, promotions) for attempt in record.attempts],
        readings=[_reading(reading, promotions) for reading in record.readings],
        fences=_fences(record.fences, promotions),
        peeks=[peek for peek in record.peeks if not _is_lost(peek, promotions)],
    )


def lost(record: Record, logs: Logs) -> int:
    """How many acknowledged posts the final logs do not have."""
    stored = {(entry.actor, entry.data["key"]) for log in logs.values() for entry in log if entry.kind == "message.posted"}
    acked = {(each.user, each.key) for each in record.attempts if each.key and isinstance(each.outcome, Acked)}
    return len(acked - stored)


def _later(stretch: Stretch, kept: float, logs: Logs) -> Iterator[int]:
    """Yield numbers above what was kept under which a reader of an earlier epoch has what the final log has."""
    log = logs.get(stretch.channel, ())
    logged, deleted = {entry.seq: entry for entry in log}, deletions(log)
    for entry in (sight.entry for sight in stretch.sights):
        truth = logged.get(entry.seq)
        if entry.seq > kept and truth is not None and same(entry, truth, deleted):
            yield entry.seq


def _kept(promotions: Sequence[Promotion], channel: str, *, epoch: str = "", since: float = -math.inf) -> float:
    """The number up to which later promotions kept a channel: later than this epoch and this moment. Infinite without any."""
    heads = [each.heads.get(channel, 0) for each in promotions if each.epoch > epoch and each.at > since]
    return min(heads, default=math.inf)


def _attempt(attempt: Attempt, promotions: Sequence[Promotion]) -> Attempt:
    acked = attempt.outcome
    if isinstance(acked, Acked) and acked.seq > _kept(promotions, attempt.channel, since=attempt.began):
        return dataclasses.replace(attempt, outcome=None)
    return attempt


def _reading(reading: Reading, promotions: Sequence[Promotion]) -> Reading:
    stretches: list[Stretch] = []
    epochs: dict[str, str] = defaultdict(str)
    for stretch in reading.stretches:
        kept = _kept(promotions, stretch.channel, epoch=stretch.epoch) if stretch.how != "log" else math.inf
        demanded = stretch.how == "reset" and epochs[stretch.channel] != stretch.epoch
        epochs[stretch.channel] = stretch.epoch
        sights = [sight for sight in stretch.sights if sight.entry.seq <= kept]
        stretches.append(dataclasses.replace(stretch, sights=sights, how="joined" if demanded else stretch.how))
    return dataclasses.replace(reading, stretches=stretches)


def _fences(fences: Sequence[Fence], promotions: Sequence[Promotion]) -> list[Fence]:
    """A user whose return was lost is removed no second time: of two fences at one removal the first one's end counts."""
    found: dict[tuple[str, str, int], Fence] = {}
    for fence in fences:
        if fence.removal <= _kept(promotions, fence.channel, since=fence.asked):
            found.setdefault((fence.user, fence.channel, fence.removal), fence)
    return list(found.values())


def _is_lost(peek: Peek, promotions: Sequence[Promotion]) -> bool:
    return peek.highest > _kept(promotions, peek.channel, since=peek.at)

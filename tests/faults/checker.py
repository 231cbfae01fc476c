"""Judges a run: compares what writers were promised and readers were shown with the log as it stands at the end.

A pure function over a `Record` and the logs; it knows neither servers nor sockets. What a writer may rely on is judged in
`log_rules`, what a reader may rely on in `stream_rules`.
"""

from collections import defaultdict

from tests.faults import log_rules, stream_rules
from tests.faults.record import Attempt, Finding, Logs, Record

RULES = {
    "gap": "a channel's numbers go 1, 2, 3 …",
    "lost": "what was acknowledged, or seen, is in the log",
    "number": "… under the number that was acknowledged, the same at every repetition",
    "duplicate": "one key makes one message; a change is made at most as often as it was tried",
    "altered": "the log and every reader show what was sent, but for texts that were deleted",
    "phantom": "nobody's message is in the log",
    "refused": "what was refused for good is not in the log",
    "order": "what was acknowledged before another was sent has the lower number",
    "kept": "a deleted text is in no entry of the log",
    "hole": "a reader's stream has every number from its position on",
    "repeat": "… once, in order",
    "tail": "… up to the end",
    "reset": "`reset` is answered only beyond `limits.sync_events`",
    "resurrected": "a deleted text is not sent again to who saw it deleted",
    "leak": "a removed member sees nothing numbered above the removal",
}


def check(record: Record, logs: Logs) -> list[Finding]:
    """Return every breach found; an empty list is the proof."""
    attempts: dict[str, list[Attempt]] = defaultdict(list)
    for attempt in record.attempts:
        attempts[attempt.channel].append(attempt)
    findings = [Finding("lost", channel, "the whole log") for channel in attempts.keys() - logs.keys()]
    for channel, log in logs.items():
        findings += (Finding(rule, channel, what) for rule, what in log_rules.breaches(log, attempts[channel]))
    for reading in record.readings:
        findings += stream_rules.breaches(reading, logs, record.sync_events)
    findings += stream_rules.leaks(record, logs)
    return findings

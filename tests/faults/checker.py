"""Checks a run: compares what writers were promised and what readers received with the final log.

A pure function over a `Record` and the logs; it knows neither servers nor sockets. `log_rules` has the guarantees for writers,
`stream_rules` those for readers,
`feed_rules` those for a product that follows the log.
"""

from collections import defaultdict

from tests.faults import epoch_rules, feed_rules, log_rules, stream_rules
from tests.faults.record import Attempt, Finding, Logs, Record

RULES = {
    "gap": "the numbers of a channel are 1, 2, 3 …",
    "lost": "an entry that was acknowledged or received is in the log",
    "number": "it has the acknowledged number, which is the same for every retry",
    "duplicate": "a key creates one message; a change is made at most as often as it was attempted",
    "altered": "the log and every reader have what was sent, except deleted texts",
    "phantom": "every message in the log was sent by a user",
    "refused": "a command that was finally refused is not in the log",
    "order": "a command acknowledged before another was sent has the lower number",
    "kept": "no entry of the log has a deleted text",
    "hole": "a reader's stream has every number from its position on",
    "repeat": "each number comes once, in order",
    "tail": "the stream reaches the end of the log",
    "reset": "`reset` is answered only beyond `limits.sync_events` and in a new epoch",
    "epoch": "no position is resumed in another epoch, and no stream mixes two",
    "resurrected": "a deleted text is not sent to a reader who has received its deletion",
    "feed": "a product has the log: each entry came, in order per channel, and again only until it was acknowledged",
    "leak": "a removed member receives nothing above the number of the removal",
}


def check(record: Record, logs: Logs) -> list[Finding]:
    """Return every violation; an empty list means that the guarantees held."""
    findings = list(epoch_rules.breaches(record, logs))
    record = epoch_rules.surviving(record)
    attempts: dict[str, list[Attempt]] = defaultdict(list)
    for attempt in record.attempts:
        attempts[attempt.channel].append(attempt)
    findings += [Finding("lost", channel, "the whole log") for channel in attempts.keys() - logs.keys()]
    for channel, log in logs.items():
        findings += (Finding(rule, channel, what) for rule, what in log_rules.breaches(log, attempts[channel]))
    for reading in record.readings:
        findings += stream_rules.breaches(reading, logs, record.sync_events)
    findings += stream_rules.leaks(record, logs)
    findings += feed_rules.breaches(record.feed, logs)
    return findings

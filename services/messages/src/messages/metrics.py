"""What the messages processes count. Labels are closed sets."""

from __future__ import annotations

from prometheus_client import Gauge

from chassis.counters import Counter, Histogram
from chassis.metrics import LATENCY_BUCKETS, SIZE_BUCKETS

COMMANDS = Counter("hubbub_commands_total", "Commands, by what they wanted and what became of them.", ["kind", "outcome"])
BATCH_COMMANDS = Histogram("hubbub_batch_commands", "Commands stored in one transaction.", buckets=SIZE_BUCKETS)
BATCH_SECONDS = Histogram("hubbub_batch_seconds", "Time to store one batch.", buckets=LATENCY_BUCKETS)
REVOCATION_SECONDS = Histogram(
    "hubbub_revocation_seconds", "Until a decision about a user held at every gateway.", buckets=LATENCY_BUCKETS
)
PUBLISH_SECONDS = Histogram("hubbub_publish_seconds", "Time to put one batch on the bus.", buckets=LATENCY_BUCKETS)
UNPUBLISHED = Gauge("hubbub_unpublished", "Batches that may not have reached the bus yet.")
REPUBLISHED = Counter("hubbub_republished_total", "Entries that the sweeper published in a crashed process's stead.")
REJECTED = Counter("hubbub_rejected_total", "Poison set aside, by what it was.", ["what"])
RETRIES = Counter("hubbub_deliveries_released_total", "Deliveries given back to be tried again, by what was away.", ["cause"])

"""Metrics of the messages processes. Label values are closed sets."""

from __future__ import annotations

from prometheus_client import Gauge

from chassis.counters import Counter, Histogram
from chassis.metrics import LATENCY_BUCKETS, SIZE_BUCKETS

COMMANDS = Counter("hubbub_commands_total", "Commands by kind and outcome.", ["kind", "outcome"])
BATCH_COMMANDS = Histogram("hubbub_batch_commands", "Commands stored in one transaction.", buckets=SIZE_BUCKETS)
BATCH_SECONDS = Histogram("hubbub_batch_seconds", "Time to carry out one batch in the database.", buckets=LATENCY_BUCKETS)
REVOCATION_SECONDS = Histogram(
    "hubbub_revocation_seconds", "Time until a revocation was applied by every gateway.", buckets=LATENCY_BUCKETS
)
PUBLISH_SECONDS = Histogram("hubbub_publish_seconds", "Time to publish one batch on the bus.", buckets=LATENCY_BUCKETS)
UNPUBLISHED = Gauge("hubbub_unpublished", "Batches committed more than two seconds ago that may not have reached the bus.")
REPUBLISHED = Counter(
    "hubbub_republished_total", "Entries that the sweeper published because the process that stored them did not."
)
REJECTED = Counter("hubbub_rejected_total", "Entries and commands moved to the topic `rejected`, by kind.", ["what"])
RETRIES = Counter("hubbub_deliveries_released_total", "Deliveries released for another attempt, by cause.", ["cause"])
FEED_EVENTS = Counter("hubbub_feed_events_total", "Events taken for the readers of other products.", ["caller"])
FEED_LAG_SECONDS = Gauge(
    "hubbub_feed_lag_seconds",
    "Time since a reader of another product was last sent every event, or since its oldest unacknowledged response was sent.",
    ["caller", "reader"],
)
FEED_UNACKNOWLEDGED = Gauge("hubbub_feed_unacknowledged", "Responses that a reader has not acknowledged.", ["caller", "reader"])
INDEXED = Counter("hubbub_search_indexed_total", "Messages written to the search index.", [])

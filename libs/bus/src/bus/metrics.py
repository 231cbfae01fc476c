"""Metrics of the bus, shared by all implementations. The chassis serves them."""

from __future__ import annotations

from prometheus_client import Gauge

from chassis.counters import Counter, Histogram

PUBLISHED_ENTRIES = Counter("hubbub_bus_published_entries_total", "Entries published", ["topic_kind"])
PUBLISHED_BYTES = Counter("hubbub_bus_published_bytes_total", "Payload bytes published", ["topic_kind"])
REFUSED_ENTRIES = Counter("hubbub_bus_refused_entries_total", "Entries refused because the topic was full", ["topic_kind"])
PUBLISH_SECONDS = Histogram(
    "hubbub_bus_publish_seconds",
    "Time to publish a batch",
    buckets=(0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2),
)
UNAVAILABLE = Counter("hubbub_bus_unavailable_total", "Batches that failed because the bus was unavailable", [])
DELIVERED_ENTRIES = Counter("hubbub_bus_delivered_entries_total", "Entries delivered", ["topic_kind", "verb"])
LOST = Counter("hubbub_bus_lost_total", "Topics whose entries a follower may have missed", ["reason"])
LEASE_CHANGES = Counter(
    "hubbub_bus_lease_changes_total", "Topic leases taken, released (given) and lost by group members", ["change"]
)
BACKLOG = Gauge("hubbub_bus_backlog_entries", "Unacknowledged entries in the topics leased by this member", ["topic_kind"])
BACKLOG_SECONDS = Gauge("hubbub_bus_backlog_seconds", "Age of the oldest command on the bus", [])
SIGNALS = Counter("hubbub_bus_signals_total", "Signals sent, received, and dropped because the listener was slow", ["direction"])
READER_EVENTS = Counter("hubbub_reader_events_total", "Events that a durable reader received, by source", ["reader", "source"])
READER_WALKS = Counter(
    "hubbub_reader_walks_total", "Comparisons of all heads with a reader's positions, after the bus lost entries", ["reader"]
)
READER_LAG_SECONDS = Gauge("hubbub_reader_lag_seconds", "Time since a reader last had every event of its topics", ["reader"])
READER_LAG_EVENTS = Gauge(
    "hubbub_reader_lag_events", "Events that a reader knows to be missing; a lower bound while it compares heads", ["reader"]
)

_KINDS = frozenset({"commands", "events", "replies", "revocations", "rejected"})


def kind_of(topic: str) -> str:
    """Return the topic's metric label, from a closed set."""
    kind = topic.partition(".")[0]
    return kind if kind in _KINDS else "other"

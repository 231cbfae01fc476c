"""Counters and histograms export the same text as prometheus-client's."""

from __future__ import annotations

import prometheus_client
import pytest
from prometheus_client import CollectorRegistry, generate_latest

from chassis import counters

BUCKETS = (0.1, 1.0, 10.0)
VALUES = (0.05, 0.1, 0.100001, 5, 10, 11)


def page(registry: CollectorRegistry) -> list[str]:
    """Return the exported text without creation times."""
    return [line for line in generate_latest(registry).decode().splitlines() if "_created" not in line]


@pytest.fixture
def registries() -> tuple[CollectorRegistry, CollectorRegistry]:
    return CollectorRegistry(), CollectorRegistry()


def test_counters_export_like_prometheus_client(registries: tuple[CollectorRegistry, CollectorRegistry]) -> None:
    ours, theirs = registries
    for make, registry in ((counters.Counter, ours), (prometheus_client.Counter, theirs)):
        plain = make("plain_total", "Plain.", registry=registry)
        by_kind = make("kinds_total", 'By "kind".', ["kind"], registry=registry)
        plain.inc()
        plain.inc(4)
        by_kind.labels("a\n").inc(2)
        by_kind.labels("b")
    assert page(ours) == page(theirs)


def test_histograms_export_like_prometheus_client(registries: tuple[CollectorRegistry, CollectorRegistry]) -> None:
    ours, theirs = registries
    for make, registry in ((counters.Histogram, ours), (prometheus_client.Histogram, theirs)):
        plain = make("plain_seconds", "Plain.", buckets=BUCKETS, registry=registry)
        by_kind = make("kinds_seconds", "By kind.", ["kind"], buckets=BUCKETS, registry=registry)
        for value in VALUES:
            plain.observe(value)
            by_kind.labels("a").observe(value)
        by_kind.labels("b")
    assert page(ours) == page(theirs)


def test_undeclared_labels_are_rejected(registries: tuple[CollectorRegistry, CollectorRegistry]) -> None:
    counter = counters.Counter("kinds_total", "By kind.", ["kind"], registry=registries[0])
    with pytest.raises(ValueError, match="kind"):
        counter.labels("a", "b")


def test_a_name_cannot_be_registered_twice(registries: tuple[CollectorRegistry, CollectorRegistry]) -> None:
    counters.Counter("plain_total", "Plain.", registry=registries[0])
    with pytest.raises(ValueError, match="plain"):
        counters.Counter("plain_total", "Plain.", registry=registries[0])

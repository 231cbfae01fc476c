"""Metrics of the bus."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from prometheus_client import REGISTRY

from bus import metrics
from bus.topics import Topic, WhenFull, commands, events, rejected, replies, revocations

if TYPE_CHECKING:
    from libs.bus.tests.conftest import World


def _value(name: str, **labels: str) -> float:
    return REGISTRY.get_sample_value(name, labels) or 0.0


async def test_published_and_delivered_entries_are_counted_by_topic_kind(world: World) -> None:
    bus = world.connect()
    published = _value("hubbub_bus_published_entries_total", topic_kind="commands")
    size = _value("hubbub_bus_published_bytes_total", topic_kind="commands")
    delivered = _value("hubbub_bus_delivered_entries_total", topic_kind="commands", verb="work")
    await bus.publish([(commands(0), b"12"), (commands(1), b"345")])
    async with bus.work([commands(0), commands(1)], "group", "one") as work, asyncio.timeout(10):
        await anext(aiter(work))
        await anext(aiter(work))
    assert _value("hubbub_bus_published_entries_total", topic_kind="commands") - published == 2
    assert _value("hubbub_bus_published_bytes_total", topic_kind="commands") - size == 5
    assert _value("hubbub_bus_delivered_entries_total", topic_kind="commands", verb="work") - delivered == 2


def test_labels_are_topic_kinds_never_topic_names() -> None:
    topics = [commands(1), events(2), replies("gateway-7f"), revocations(), rejected(), Topic("gateway-7f", 1, WhenFull.TRIM)]
    assert [metrics.kind_of(topic.name) for topic in topics] == [
        "commands",
        "events",
        "replies",
        "revocations",
        "rejected",
        "other",
    ]

"""Metrics and buckets shared by all processes. Label values come from closed sets, never from users, channels or connections."""

from __future__ import annotations

import time

from prometheus_client import CONTENT_TYPE_LATEST, Counter, Gauge, Histogram, generate_latest

from chassis.release import VERSION

LATENCY_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Seconds."""
SIZE_BUCKETS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000)
"""Items in a batch."""

RPC_SECONDS = Histogram(
    "hubbub_rpc_server_seconds",
    "Time to handle an RPC, by method and status.",
    ["method", "status"],
    buckets=LATENCY_BUCKETS,
)
RPC_CALLS = Counter(
    "hubbub_rpc_calls_total",
    "RPCs handled, by calling service and status; - stands for an unknown caller.",
    ["caller", "status"],
)
RPC_CLIENT_SECONDS = Histogram(
    "hubbub_rpc_client_seconds",
    "Time from sending an RPC to its response, by method and status.",
    ["method", "status"],
    buckets=LATENCY_BUCKETS,
)
BUILD_INFO = Gauge("hubbub_build_info", "Always 1; the label is the release of the process.", ["version"])
BUILD_INFO.labels(VERSION).set(1)
READY = Gauge("hubbub_ready", "1 while the process accepts work.")
DEPENDENCY_USABLE = Gauge("hubbub_dependency_usable", "1 while the process can use the dependency.", ["dependency"])
LOG_DROPPED = Counter("hubbub_log_dropped_total", "Log lines dropped because the reader of the log did not keep up.")
DEFECTS = Counter("hubbub_defects_total", "Unexpected exceptions caught by an outermost handler.", ["where"])

PAGE_TYPE = CONTENT_TYPE_LATEST
PAGE_SECONDS = 1.0
"""How long a page is reused: making one takes 8 ms of the event loop in a gateway."""
_page = (-PAGE_SECONDS, b"")
"""When the last page was made, and the page."""


def page() -> bytes:
    """All metrics in Prometheus' text format, at most `PAGE_SECONDS` old."""
    global _page  # noqa: PLW0603 - the registry is global too
    now = time.monotonic()
    if now - _page[0] >= PAGE_SECONDS:
        _page = now, generate_latest()
    return _page[1]

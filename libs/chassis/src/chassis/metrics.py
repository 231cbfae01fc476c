"""Metrics and buckets shared by all processes. Label values come from closed sets, never from users, channels or connections."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

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
READY = Gauge("hubbub_ready", "1 while the process accepts work.")
DEPENDENCY_USABLE = Gauge("hubbub_dependency_usable", "1 while the process can use the dependency.", ["dependency"])
DEFECTS = Counter("hubbub_defects_total", "Unexpected exceptions caught by an outermost handler.", ["where"])

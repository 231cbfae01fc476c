"""Names and buckets that the metrics of all processes share. Labels are closed sets: never a user, channel or connection."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

LATENCY_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
"""Seconds."""
SIZE_BUCKETS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1_000)
"""Things in a batch."""

RPC_SECONDS = Histogram(
    "hubbub_rpc_server_seconds",
    "Time to answer an RPC, by method and status.",
    ["method", "status"],
    buckets=LATENCY_BUCKETS,
)
RPC_CALLS = Counter(
    "hubbub_rpc_calls_total",
    "RPCs answered, by the service that called and status; - stands for a caller that is not known.",
    ["caller", "status"],
)
RPC_CLIENT_SECONDS = Histogram(
    "hubbub_rpc_client_seconds",
    "Time until an RPC was answered, by method and status.",
    ["method", "status"],
    buckets=LATENCY_BUCKETS,
)
READY = Gauge("hubbub_ready", "1 while the process takes work.")
DEFECTS = Counter("hubbub_defects_total", "Unexpected exceptions that an outermost handler caught.", ["where"])

"""The gateway's metrics. Every label has a closed set of values."""

from __future__ import annotations

from prometheus_client import Gauge

from chassis.counters import Counter, Histogram
from chassis.metrics import LATENCY_BUCKETS, SIZE_BUCKETS

CONNECTIONS = Gauge("hubbub_gateway_connections", "Open connections.")
CHANNELS = Gauge("hubbub_gateway_channels", "Channels with a local member.")
OPENED = Counter("hubbub_gateway_handshakes_total", "Upgrade requests, by HTTP status answered.", ["status"])
REFUSED = Counter(
    "hubbub_gateway_refused_requests_total", "Requests refused before they were routed, by HTTP status.", ["status"]
)
CLOSED = Counter("hubbub_gateway_closed_total", "Connections closed, by close code.", ["code"])
FRAMES_IN = Counter("hubbub_gateway_frames_in_total", "Frames received, by type.", ["type"])
EVENTS = Counter("hubbub_gateway_events_total", "Log events received from the bus, by fate.", ["fate"])
DELIVERIES = Counter("hubbub_gateway_deliveries_total", "Log events queued for live connections.")
WRITES = Counter("hubbub_gateway_writes_total", "Writes to sockets; deliveries divided by writes is the gain of joining.")
WRITTEN_BYTES = Counter("hubbub_gateway_written_bytes_total", "Bytes written to sockets.")
COMMANDS = Counter("hubbub_gateway_commands_total", "Commands, by outcome.", ["outcome"])
COMMAND_BATCH = Histogram("hubbub_gateway_command_batch", "Commands published together.", buckets=SIZE_BUCKETS)
PENDING = Gauge("hubbub_gateway_pending_commands", "Commands that await their outcome.")
ACK_SECONDS = Histogram("hubbub_gateway_ack_seconds", "Time from a command's frame to its outcome.", buckets=LATENCY_BUCKETS)
CATCH_UPS = Counter("hubbub_gateway_catch_ups_total", "Catch-ups, by outcome.", ["outcome"])
MISSED_RANGES = Histogram("hubbub_gateway_missed_ranges", "Ranges of missed events read by one call.", buckets=SIZE_BUCKETS)
TAIL_BYTES = Gauge("hubbub_gateway_tail_bytes", "Bytes of recent events that are kept for resuming connections.")
GAPS = Counter("hubbub_gateway_gaps_total", "Gaps in a channel's events, by outcome.", ["outcome"])
COMPARED = Counter(
    "hubbub_gateway_reconciled_channels_total", "Channels whose head was compared with the store, by reason.", ["reason"]
)
EPOCHS = Counter("hubbub_gateway_store_epochs_total", "Times the store began a new epoch: every connection was closed.")
HOLES = Counter("hubbub_gateway_reconcile_holes_total", "Gaps that only the periodic comparison with the store found.")
BUS_LOST = Counter("hubbub_gateway_bus_lost_total", "Times the bus reported that entries may be lost, by reason.", ["reason"])
CUT_OFFS = Counter("hubbub_gateway_cut_offs_total", "Times the gateway had no valid lease, its start included.")
SESSIONS = Histogram("hubbub_gateway_session_batch", "Sessions opened by one call.", buckets=SIZE_BUCKETS)
HTTP_SECONDS = Histogram(
    "hubbub_gateway_http_seconds", "Time to answer, by route and status.", ["route", "status"], buckets=LATENCY_BUCKETS
)
RECOVERIES = Counter("hubbub_gateway_recoveries_total", "Connections that asked for an earlier session, by outcome.", ["outcome"])
HANDED_ON = Counter(
    "hubbub_gateway_handed_on_total", "Requests and WebSockets for other gateways' sessions, by outcome.", ["kind", "outcome"]
)
PRESENCE_WATCHED = Gauge("hubbub_gateway_presence_watching", "Users whose presence clients here watch.")
PRESENCE_ATTACHED = Gauge("hubbub_gateway_presence_attached", "1 while the presence service is attached.")

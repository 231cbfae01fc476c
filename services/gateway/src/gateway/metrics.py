"""What the gateway measures. Labels are closed sets; close codes outside the protocol's count as `other`."""

from __future__ import annotations

from prometheus_client import Gauge

from chassis.counters import Counter, Histogram
from chassis.metrics import LATENCY_BUCKETS, SIZE_BUCKETS

CONNECTIONS = Gauge("hubbub_gateway_connections", "Sockets that are open.")
CHANNELS = Gauge("hubbub_gateway_channels", "Channels with a local member.")
OPENED = Counter("hubbub_gateway_handshakes_total", "Upgrade requests, by HTTP status answered.", ["status"])
CLOSED = Counter("hubbub_gateway_closed_total", "Sockets closed, by close code.", ["code"])
FRAMES_IN = Counter("hubbub_gateway_frames_in_total", "Frames received, by type.", ["type"])
EVENTS = Counter("hubbub_gateway_events_total", "Log entries taken off the bus, by fate.", ["fate"])
DELIVERIES = Counter("hubbub_gateway_deliveries_total", "Log entries given to live sockets.")
WRITES = Counter("hubbub_gateway_writes_total", "Writes to sockets; deliveries per write is what joining gains.")
WRITTEN_BYTES = Counter("hubbub_gateway_written_bytes_total", "Bytes written to sockets.")
COMMANDS = Counter("hubbub_gateway_commands_total", "Commands, by outcome.", ["outcome"])
COMMAND_BATCH = Histogram("hubbub_gateway_command_batch", "Commands published together.", buckets=SIZE_BUCKETS)
PENDING = Gauge("hubbub_gateway_pending_commands", "Commands whose outcome is awaited.")
ACK_SECONDS = Histogram("hubbub_gateway_ack_seconds", "From a command's frame to its outcome.", buckets=LATENCY_BUCKETS)
CATCH_UPS = Counter("hubbub_gateway_catch_ups_total", "Catch-ups, by outcome.", ["outcome"])
GAPS = Counter("hubbub_gateway_gaps_total", "Holes in a channel's events, by outcome.", ["outcome"])
AUDITED = Counter("hubbub_gateway_audited_channels_total", "Channels whose head was compared, by reason.", ["reason"])
HOLES = Counter("hubbub_gateway_audit_holes_total", "Holes that only the audit found.")
BUS_LOST = Counter(
    "hubbub_gateway_bus_lost_total", "Times the bus said that entries may have been missed, by reason.", ["reason"]
)
CUT_OFFS = Counter("hubbub_gateway_cut_offs_total", "Times the gateway was not present among the gateways, its start included.")
SESSIONS = Histogram("hubbub_gateway_session_batch", "Sessions opened in one call.", buckets=SIZE_BUCKETS)
HTTP_SECONDS = Histogram(
    "hubbub_gateway_http_seconds", "Time to answer, by route and status.", ["route", "status"], buckets=LATENCY_BUCKETS
)
PRESENCE_ATTACHED = Gauge("hubbub_gateway_presence_attached", "1 while the presence service is attached.")

CLOSE_CODES = frozenset({1000, 1001, 1002, 1003, 1007, 1009, 1011, 1012, 4001, 4002, 4003, 4004, 4005, 4501, 4502, 4503})


def close_label(code: int) -> str:
    """The label of a close code; 0 is a peer that vanished."""
    if code == 0:
        return "vanished"
    return str(code) if code in CLOSE_CODES else "other"

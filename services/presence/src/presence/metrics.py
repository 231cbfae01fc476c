"""Metrics of presence. The chassis measures RPCs and serves all metrics."""

from __future__ import annotations

from prometheus_client import Counter, Gauge

ATTACHED = Gauge("hubbub_presence_attached_gateways", "Gateways attached to this instance.")
WATCHED = Gauge("hubbub_presence_watched_users", "Users watched through this instance.")
REFUSED_WATCHES = Counter("hubbub_presence_refused_watches_total", "Users not watched because of the bound of a gateway.", [])
REPORTED = Counter(
    "hubbub_presence_reported_changes_total", "Connections that opened or changed (came), or closed (went).", ["change"]
)
SHOWN = Counter("hubbub_presence_shown_changes_total", "Presences changed by reports.", [])
REAPED = Counter("hubbub_presence_reaped_leases_total", "Gateway leases that expired.", [])
CONFLATED = Counter("hubbub_presence_conflated_total", "Presences replaced by a newer one before they were sent.", [])
SENT = Counter("hubbub_presence_sent_total", "Presences sent to gateways.", [])

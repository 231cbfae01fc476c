"""Presence's own metrics. Leaves serving them, and those of RPCs, to the chassis."""

from __future__ import annotations

from prometheus_client import Counter, Gauge

ATTACHED = Gauge("hubbub_presence_attached_gateways", "Gateways attached to this instance.")
WATCHED = Gauge("hubbub_presence_watched_users", "Users watched through this instance.")
REPORTED = Counter("hubbub_presence_reported_changes_total", "Connections that came, changed or went.", ["change"])
SHOWN = Counter("hubbub_presence_shown_changes_total", "Users whose presence changed by a report.", [])
REAPED = Counter("hubbub_presence_reaped_leases_total", "Gateways whose lease ended.", [])
CONFLATED = Counter("hubbub_presence_conflated_total", "Presences replaced by a newer one before they were sent.", [])
SENT = Counter("hubbub_presence_sent_total", "Presences sent to gateways.", [])

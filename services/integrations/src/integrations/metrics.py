"""Metrics of integrations. Labels are closed sets."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

from chassis.metrics import LATENCY_BUCKETS

ADDED = Counter("hubbub_webhook_deliveries_total", "Deliveries stored.")
ATTEMPTS = Counter("hubbub_webhook_attempts_total", "Attempts to deliver, by how they ended.", ["outcome"])
ATTEMPT_SECONDS = Histogram("hubbub_webhook_attempt_seconds", "Time of one attempt.", buckets=LATENCY_BUCKETS)
COMMANDS = Counter("hubbub_slash_commands_total", "Slash commands run, by how their endpoint answered.", ["outcome"])
ACTIONS = Counter("hubbub_actions_total", "Actions in messages, by how their endpoint answered.", ["outcome"])
DISABLED = Counter("hubbub_webhooks_disabled_total", "Webhooks disabled because of their endpoint.", ["reason"])
SUSPENDED = Counter("hubbub_webhooks_suspended_total", "Webhooks suspended because their backlog was full.")
OVERDUE_SECONDS = Gauge("hubbub_webhook_overdue_seconds", "How long the longest due webhook has waited for a process to attempt.")

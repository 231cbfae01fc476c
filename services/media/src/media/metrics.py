"""Metrics of media. Labels are closed sets."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

from chassis.metrics import LATENCY_BUCKETS

UPLOADS = Counter("hubbub_uploads_total", "Uploads announced.")
VERDICTS = Counter("hubbub_upload_verdicts_total", "Verdicts on uploads.", ["state", "reason"])
SCANNING = Gauge("hubbub_uploads_scanning", "Uploads that await their verdict.")
SCAN_SECONDS = Histogram("hubbub_upload_scan_seconds", "Time to examine one upload.", buckets=LATENCY_BUCKETS)

"""Metrics of media. Label values come from closed sets."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

from chassis.metrics import LATENCY_BUCKETS

UPLOADS = Counter("hubbub_uploads_total", "Uploads announced.")
VERDICTS = Counter("hubbub_upload_verdicts_total", "Results of scanning uploads.", ["state", "reason"])
SCANNING = Gauge("hubbub_uploads_scanning", "Uploads waiting for a scan result.")
SCAN_SECONDS = Histogram("hubbub_upload_scan_seconds", "Time to scan one upload.", buckets=LATENCY_BUCKETS)

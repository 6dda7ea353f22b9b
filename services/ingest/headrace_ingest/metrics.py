"""Prometheus metrics of ingest."""

from prometheus_client import Counter

CAPTURES_ASIDE = Counter(
    "headrace_ingest_captures_aside_total",
    "Outcomes that are not kept: of no workload's name, or of one that nobody applied",
    ["reason"],
)

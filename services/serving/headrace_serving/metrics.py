"""Prometheus metrics of generation."""

from prometheus_client import Counter, Gauge, Histogram

TOKENS = Counter("headrace_generated_tokens_total", "Tokens generated", ["workload", "version"])
GENERATION_SECONDS = Histogram(
    "headrace_generation_duration_seconds",
    "Time from taking a request to its last token, queueing included",
    ["workload", "version"],
    buckets=(0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
)
BATCH_ROWS = Histogram(
    "headrace_batch_rows", "Requests in one batch", ["base"], buckets=(1, 2, 4, 8, 16, 32, 64)
)
IN_FLIGHT = Gauge("headrace_inference_in_flight", "Requests under way")
OUTCOMES_LOST = Counter(
    "headrace_outcomes_lost_total", "Outcomes of HTTP requests that the broker did not take"
)

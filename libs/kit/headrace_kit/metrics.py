"""Prometheus metrics that every service has; base units, names end as the conventions ask."""

from prometheus_client import Counter, Gauge, Histogram

EVENTS_HANDLED = Counter(
    "headrace_events_handled_total", "Events by what became of them", ["type", "outcome"]
)
HANDLER_SECONDS = Histogram(
    "headrace_handler_duration_seconds",
    "Time one event (or one micro-batch) took in its handler",
    ["handler"],
    buckets=(0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 30),
)
EVENTS_PUBLISHED = Counter("headrace_events_published_total", "Events published", ["type"])
DEAD_LETTERS = Counter("headrace_dead_letters_total", "Records dead-lettered", ["topic", "error"])
NOTICES_PASSED_OVER = Counter(
    "headrace_notices_passed_over_total",
    "Notices to every replica that could not be read",
    ["topic"],
)
OUTBOX_ROWS = Gauge("headrace_outbox_rows", "Events written but not yet published")
OUTBOX_OLDEST = Gauge(
    "headrace_outbox_oldest_age_seconds", "Age of the oldest event written but not yet published"
)
OUTBOX_REFUSED = Gauge(
    "headrace_outbox_refused_rows", "Events that the broker will never take; kept in the outbox"
)
CONSUMER_HALTED = Gauge(
    "headrace_consumer_halted", "1 when the consumer stopped at its dead-letter limit"
)
LANE_HELD = Gauge(
    "headrace_lane_held",
    "Pieces of work that a lane can neither finish nor set aside now",
    ["lane"],
)
RECORDS_HELD = Counter(
    "headrace_records_held_total",
    "Attempts at work that was held, by the error that held it",
    ["lane", "error"],
)
REBALANCES = Counter(
    "headrace_group_rebalances_total", "Partitions given out anew to this member", ["group"]
)
REJOINS = Counter(
    "headrace_group_rejoins_total",
    "Times that a member was given up and a new one joined",
    ["group"],
)
BACKGROUND_FAILURES = Counter(
    "headrace_background_failures_total",
    "Deaths of background tasks, and calls of periodic work that failed",
    ["task"],
)
LOOP_LAG = Gauge(
    "headrace_event_loop_lag_seconds", "Longest delay of the event loop in the last half minute"
)
JOB_FAILURES = Counter(
    "headrace_job_failures_total",
    "Claims, and ends of jobs, that could not be written or told",
    ["kind"],
)
JOBS_RUNNING = Gauge("headrace_jobs_running", "Leased jobs at work here", ["kind"])
HTTP_REQUESTS = Counter(
    "headrace_http_requests_total", "HTTP requests", ["method", "route", "status"]
)
HTTP_SECONDS = Histogram(
    "headrace_http_request_duration_seconds", "Time to the end of the response", ["route"]
)
TRACES_UNSAMPLED = Counter(
    "headrace_traces_unsampled_total", "Traces not recorded because of the rate limit"
)
SPANS_DROPPED = Counter(
    "headrace_spans_dropped_total", "Spans that the sink did not take, or took too slowly"
)

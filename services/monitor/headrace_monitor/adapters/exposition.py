"""Prometheus metrics of what the monitor measures; base units."""

from collections.abc import Iterable

from prometheus_client import REGISTRY, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from headrace_monitor.core.outcomes import Outcome
from headrace_monitor.core.windows import Window

_SERIES = ("workload", "version", "arm")

REQUESTS = Counter(
    "headrace_requests_total",
    "Inference requests by outcome (ok, blocked, error, unavailable)",
    [*_SERIES, "outcome"],
)
LATENCY = Histogram(
    "headrace_request_duration_seconds",
    "From the product's request to the checked answer",
    _SERIES,
    buckets=(0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
)
FEEDBACK = Counter("headrace_feedback_total", "Ratings of answers", [*_SERIES, "rating"])


def count(outcome: Outcome) -> None:
    """Count one outcome."""
    series = (outcome.workload, outcome.version, outcome.arm)
    REQUESTS.labels(*series, outcome.kind).inc()
    if outcome.latency_ms is not None:
        LATENCY.labels(*series).observe(outcome.latency_ms / 1000)


class MonitorGauges(Collector):
    """Gauges read when Prometheus asks, so that a series that ended disappears."""

    def __init__(self) -> None:
        self.windows: list[Window] = []
        self.alerts: dict[tuple[str, str], int] = {}
        self.weights: dict[tuple[str, str], int] = {}
        self.drift: dict[str, float] = {}
        self.audit_entries = 0

    def register(self) -> None:
        """Show them on /metrics."""
        REGISTRY.register(self)

    def unregister(self) -> None:
        """Take them away again."""
        REGISTRY.unregister(self)

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """Return the gauges."""
        quantiles = GaugeMetricFamily(
            "headrace_window_latency_seconds",
            "Latency quantiles over the console's window",
            labels=[*_SERIES, "quantile"],
        )
        rates = GaugeMetricFamily(
            "headrace_window_error_ratio", "Errors per request over the window", labels=_SERIES
        )
        throughput = GaugeMetricFamily(
            "headrace_window_requests_per_second", "Requests over the window", labels=_SERIES
        )
        ratings = GaugeMetricFamily(
            "headrace_window_rating_mean", "Mean rating, -1 to 1", labels=_SERIES
        )
        for w in self.windows:
            series = [w.workload, w.version, w.arm]
            for name, value in (("0.5", w.p50_ms), ("0.95", w.p95_ms)):
                if value is not None:
                    quantiles.add_metric([*series, name], value / 1000)
            rates.add_metric(series, w.error_rate)
            throughput.add_metric(series, w.per_second)
            if w.rating_mean is not None:
                ratings.add_metric(series, w.rating_mean)
        alerts = GaugeMetricFamily(
            "headrace_alerts_open", "Alerts not resolved", labels=["workload", "severity"]
        )
        for (workload, severity), open_alerts in self.alerts.items():
            alerts.add_metric([workload, severity], open_alerts)
        weights = GaugeMetricFamily(
            "headrace_canary_weight_ratio",
            "Share of the traffic that the candidate takes",
            labels=["workload", "version"],
        )
        for (workload, version), weight in self.weights.items():
            weights.add_metric([workload, version], weight / 100)
        drift = GaugeMetricFamily(
            "headrace_drift_psi",
            "PSI of the newest window in excess of chance",
            labels=["workload"],
        )
        for workload, psi in self.drift.items():
            drift.add_metric([workload], psi)
        audit = GaugeMetricFamily(
            "headrace_audit_entries", "Entries in the audit chain", value=self.audit_entries
        )
        return (quantiles, rates, throughput, ratings, alerts, weights, drift, audit)

"""Prometheus metrics of the checks."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import Counter, Histogram

CHECK_SECONDS = Histogram(
    "headrace_guard_duration_seconds",
    "Time all checks of one text took",
    ["stage"],
    buckets=(0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05),
)

_OVER_BUDGET = Counter(
    "headrace_guard_over_budget_total",
    "Checks that were broken off because the text took too long; the policy's fail mode decided",
    ["check"],
)


def broken_off(check: str) -> None:
    """Count a check that was not finished."""
    _OVER_BUDGET.labels(check).inc()


@contextmanager
def observe(stage: str) -> Iterator[None]:
    """Measure the checks of one text."""
    started = time.perf_counter()
    try:
        yield
    finally:
        CHECK_SECONDS.labels(stage).observe(time.perf_counter() - started)

"""Prometheus metrics of the checks."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import Histogram

CHECK_SECONDS = Histogram(
    "headrace_guard_duration_seconds",
    "Time all checks of one text took",
    ["stage"],
    buckets=(0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05),
)


@contextmanager
def observe(stage: str) -> Iterator[None]:
    """Measure the checks of one text."""
    started = time.perf_counter()
    try:
        yield
    finally:
        CHECK_SECONDS.labels(stage).observe(time.perf_counter() - started)

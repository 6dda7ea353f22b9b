"""Windows per workload, model version and arm: requests, errors, latency, feedback."""

from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime

from headrace_monitor.core.histogram import LatencyHistogram
from headrace_monitor.core.outcomes import Outcome

BUCKET_SECONDS = 10
_KEPT_BUCKETS = 360  # one hour: what the console can show
_KEPT_SERIES = 200  # more versions than that at once are a fault elsewhere; memory stays bounded


@dataclass(frozen=True, slots=True)
class SeriesKey:
    """What a window is of."""

    workload: str
    version: str
    arm: str


@dataclass(slots=True)
class Bucket:
    """Ten seconds of one series; `start` in Unix seconds."""

    start: int
    requests: int = 0
    errors: int = 0
    blocked: int = 0
    ratings: int = 0
    rating_sum: int = 0
    latency: LatencyHistogram = field(default_factory=LatencyHistogram)


@dataclass(frozen=True, slots=True)
class Point:
    """One bucket, for a sparkline."""

    at: int
    requests: int
    errors: int
    p50_ms: float | None
    p95_ms: float | None


@dataclass(frozen=True, slots=True)
class Window:
    """The figures of one series over the last `seconds`."""

    workload: str
    version: str
    arm: str
    seconds: int
    requests: int
    errors: int
    blocked: int
    error_rate: float
    p50_ms: float | None
    p95_ms: float | None
    per_second: float
    ratings: int
    rating_mean: float | None
    points: tuple[Point, ...]


class WindowBoard:
    """All windows of this process; made again from stored outcomes after a restart."""

    def __init__(self) -> None:
        self._series: dict[SeriesKey, deque[Bucket]] = {}

    def add(self, outcome: Outcome) -> None:
        """Count one outcome (the caller has dropped repeats)."""
        bucket = self._bucket(SeriesKey(outcome.workload, outcome.version, outcome.arm), outcome.at)
        if bucket is None:
            return
        bucket.requests += 1
        bucket.errors += outcome.kind in ("error", "unavailable")
        bucket.blocked += outcome.kind == "blocked"
        if outcome.latency_ms is not None:
            bucket.latency.add(outcome.latency_ms)

    def rate(self, key: SeriesKey, at: datetime, rating: int, replaced: int | None = None) -> None:
        """Count one rating; `replaced` is the same request's earlier rating."""
        bucket = self._bucket(key, at)
        if bucket is None:
            return
        bucket.ratings += replaced is None
        bucket.rating_sum += rating - (replaced or 0)

    def windows(
        self, seconds: int, now: datetime | None = None, workload: str | None = None
    ) -> list[Window]:
        """Return a window for each series that had a request or a rating in the last `seconds`."""
        end = int((now or datetime.now(UTC)).timestamp())
        found = []
        keys = (k for k in self._series if workload in {None, k.workload})
        for key in sorted(keys, key=lambda k: (k.workload, k.version, k.arm)):
            buckets = [b for b in self._series[key] if b.start > end - seconds - BUCKET_SECONDS]
            if buckets:
                found.append(_window(key, buckets, seconds))
        return found

    def _bucket(self, key: SeriesKey, at: datetime) -> Bucket | None:
        start = int(at.timestamp()) // BUCKET_SECONDS * BUCKET_SECONDS
        series = self._series.get(key)
        if series is None:
            self._forget_stale()
            series = self._series.setdefault(key, deque(maxlen=_KEPT_BUCKETS))
        if not series or start > series[-1].start:
            series.append(Bucket(start))
            return series[-1]
        for bucket in reversed(series):
            if bucket.start == start:
                return bucket
            if bucket.start < start:
                break
        return _insert(series, start)

    def _forget_stale(self) -> None:
        oldest = int(datetime.now(UTC).timestamp()) - _KEPT_BUCKETS * BUCKET_SECONDS
        self._series = {k: s for k, s in self._series.items() if s[-1].start >= oldest}
        while len(self._series) >= _KEPT_SERIES:
            del self._series[min(self._series, key=lambda k: self._series[k][-1].start)]


def _insert(series: deque[Bucket], start: int) -> Bucket | None:
    """Put a late bucket in its place; None if it is older than all that is kept."""
    if len(series) == series.maxlen:
        if start < series[0].start:
            return None
        series.popleft()
    bucket = Bucket(start)
    position = sum(1 for b in series if b.start < start)
    series.insert(position, bucket)
    return bucket


def _window(key: SeriesKey, buckets: list[Bucket], seconds: int) -> Window:
    requests = sum(b.requests for b in buckets)
    errors = sum(b.errors for b in buckets)
    ratings = sum(b.ratings for b in buckets)
    latency = LatencyHistogram.merged(b.latency for b in buckets)
    return Window(
        workload=key.workload,
        version=key.version,
        arm=key.arm,
        seconds=seconds,
        requests=requests,
        errors=errors,
        blocked=sum(b.blocked for b in buckets),
        error_rate=errors / requests if requests else 0.0,
        p50_ms=latency.quantile(0.5),
        p95_ms=latency.quantile(0.95),
        per_second=requests / seconds,
        ratings=ratings,
        rating_mean=sum(b.rating_sum for b in buckets) / ratings if ratings else None,
        points=tuple(
            Point(
                b.start,
                b.requests,
                b.errors,
                b.latency.quantile(0.5),
                b.latency.quantile(0.95),
            )
            for b in buckets
        ),
    )

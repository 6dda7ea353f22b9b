"""Windows per workload, model version and arm: requests, errors, latency, feedback.

Only the newest bucket of a series changes as a rule, so what the older ones of a window add up to
is kept, and a window that is asked for each second costs one bucket's work and not all of them.
"""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, NamedTuple

from headrace_monitor.core.histogram import LatencyHistogram
from headrace_monitor.core.outcomes import Kind, Outcome

BUCKET_SECONDS = 10
_KEPT_BUCKETS = 360  # one hour: what the console can show
# Of one workload: more versions than that within an hour are a fault elsewhere. A busy workload
# must not push a quiet one's incumbent out: the bound on all takes from whoever has the most.
_KEPT_SERIES = 50
_KEPT_SERIES_IN_ALL = 5000
_KEPT_SUMS = 6  # lengths of windows that somebody asks for again and again


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
    point: "Point | None" = None
    """Kept until the bucket changes."""


class Point(NamedTuple):
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

    def figures(self) -> dict[str, Any]:
        """Return everything but the points, by name (`asdict` would copy each point)."""
        return {name: getattr(self, name) for name in self.__slots__ if name != "points"}


@dataclass(slots=True)
class _Sum:
    """What the buckets of a window add up to, without the newest one of the series."""

    first: int
    last: int
    revision: int
    total: Bucket
    points: tuple[Point, ...]


class _Series:
    """The buckets of one series, oldest first."""

    __slots__ = ("buckets", "revision", "sums")

    def __init__(self) -> None:
        self.buckets: deque[Bucket] = deque(maxlen=_KEPT_BUCKETS)
        self.revision = 0
        """Counts changes of buckets that are not the newest."""
        self.sums: dict[int, _Sum] = {}

    @property
    def newest(self) -> int:
        """The start of the newest bucket, in Unix seconds."""
        return self.buckets[-1].start

    def bucket(self, start: int) -> Bucket | None:
        """Return the bucket to count in; None if it is older than all that is kept."""
        buckets = self.buckets
        if not buckets or start > buckets[-1].start:
            buckets.append(Bucket(start))
            return buckets[-1]
        if start < buckets[-1].start:
            self.revision += 1
        for bucket in reversed(buckets):
            if bucket.start == start:
                bucket.point = None
                return bucket
            if bucket.start < start:
                break
        return _insert(buckets, start)

    def window(self, key: SeriesKey, seconds: int, end: int) -> Window | None:
        """Return the figures of the last `seconds` before `end`; None if nothing lies in them."""
        first = end - seconds - BUCKET_SECONDS + 1
        if not self.buckets or self.newest < first:
            return None
        newest = self.buckets[-1]
        older = self._older(seconds, first, newest.start)
        return _window(key, older, newest, seconds)

    def _older(self, seconds: int, first: int, last: int) -> _Sum:
        first = -(-first // BUCKET_SECONDS) * BUCKET_SECONDS
        known = self.sums.get(seconds)
        if known and (known.first, known.last, known.revision) == (first, last, self.revision):
            return known
        found = [b for b in self.buckets if first <= b.start < last]
        made = _Sum(first, last, self.revision, _total(found), tuple(_point(b) for b in found))
        if seconds not in self.sums and len(self.sums) >= _KEPT_SUMS:
            del self.sums[next(iter(self.sums))]
        self.sums[seconds] = made
        return made


class WindowBoard:
    """All windows of this process; made again from stored outcomes after a restart."""

    def __init__(self) -> None:
        self._workloads: dict[str, dict[SeriesKey, _Series]] = {}
        self._count = 0

    def __len__(self) -> int:
        """Return how many series there are."""
        return self._count

    def workloads(self) -> list[str]:
        """Return the workloads that have a series, in order."""
        return sorted(self._workloads)

    def add(self, outcome: Outcome) -> None:
        """Count one outcome (the caller has dropped repeats)."""
        key = SeriesKey(outcome.workload, outcome.version, outcome.arm)
        self.count(key, outcome.kind, outcome.latency_ms, outcome.at)

    def count(self, key: SeriesKey, kind: Kind, latency_ms: float | None, at: datetime) -> None:
        """Count one request of a series."""
        bucket = self._bucket(key, at)
        if bucket is None:
            return
        bucket.requests += 1
        bucket.errors += kind in ("error", "unavailable")
        bucket.blocked += kind == "blocked"
        if latency_ms is not None:
            bucket.latency.add(latency_ms)

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
        names = self.workloads() if workload is None else [workload]
        return [
            window
            for name in names
            for key, series in sorted(self._workloads.get(name, {}).items(), key=_by_version)
            if (window := series.window(key, seconds, end))
        ]

    def _bucket(self, key: SeriesKey, at: datetime) -> Bucket | None:
        start = int(at.timestamp()) // BUCKET_SECONDS * BUCKET_SECONDS
        found = self._workloads.get(key.workload, {}).get(key)
        if found is None:
            self._make_room(key.workload)
            found = self._workloads.setdefault(key.workload, {})[key] = _Series()
            self._count += 1
        return found.bucket(start)

    def _make_room(self, workload: str) -> None:
        oldest = int(datetime.now(UTC).timestamp()) - _KEPT_BUCKETS * BUCKET_SECONDS
        for key, series in list(self._workloads.get(workload, {}).items()):
            if series.newest < oldest:
                self._forget(key)
        while len(self._workloads.get(workload, {})) >= _KEPT_SERIES:
            self._forget_stalest(workload)
        while self._count >= _KEPT_SERIES_IN_ALL:
            self._forget_stalest(max(self._workloads, key=self._size_and_age))

    def _size_and_age(self, workload: str) -> tuple[int, int]:
        series = self._workloads[workload]
        return len(series), -max(s.newest for s in series.values())

    def _forget_stalest(self, workload: str) -> None:
        series = self._workloads[workload]
        self._forget(min(series, key=lambda key: series[key].newest))

    def _forget(self, key: SeriesKey) -> None:
        series = self._workloads[key.workload]
        del series[key]
        self._count -= 1
        if not series:
            del self._workloads[key.workload]


def _by_version(one: tuple[SeriesKey, _Series]) -> tuple[str, str]:
    return one[0].version, one[0].arm


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


def _point(bucket: Bucket) -> Point:
    if bucket.point is None:
        bucket.point = Point(
            bucket.start,
            bucket.requests,
            bucket.errors,
            bucket.latency.quantile(0.5),
            bucket.latency.quantile(0.95),
        )
    return bucket.point


def _total(buckets: Iterable[Bucket]) -> Bucket:
    found = list(buckets)
    return Bucket(
        start=found[0].start if found else 0,
        requests=sum(b.requests for b in found),
        errors=sum(b.errors for b in found),
        blocked=sum(b.blocked for b in found),
        ratings=sum(b.ratings for b in found),
        rating_sum=sum(b.rating_sum for b in found),
        latency=LatencyHistogram.merged(b.latency for b in found),
    )


def _window(key: SeriesKey, older: _Sum, newest: Bucket, seconds: int) -> Window:
    total = _total((older.total, newest))
    return Window(
        workload=key.workload,
        version=key.version,
        arm=key.arm,
        seconds=seconds,
        requests=total.requests,
        errors=total.errors,
        blocked=total.blocked,
        error_rate=total.errors / total.requests if total.requests else 0.0,
        p50_ms=total.latency.quantile(0.5),
        p95_ms=total.latency.quantile(0.95),
        per_second=total.requests / seconds,
        ratings=total.ratings,
        rating_mean=total.rating_sum / total.ratings if total.ratings else None,
        points=(*older.points, _point(newest)),
    )

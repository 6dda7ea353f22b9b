"""Windows: figures, late events, bounds, and objectives held against them."""

import random
from datetime import UTC, datetime, timedelta

from headrace_events.workload import Slo
from headrace_monitor.core import slo
from headrace_monitor.core.outcomes import Kind, Outcome
from headrace_monitor.core.windows import SeriesKey, Window, WindowBoard

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
KEY = SeriesKey("docs", "1", "production")


def outcome(
    seconds_ago: float, latency: float | None = 100.0, kind: Kind = "ok", version: str = "1"
) -> Outcome:
    at = NOW - timedelta(seconds=seconds_ago)
    return Outcome("r", "docs", version, "production", kind, latency, at)


def only(board: WindowBoard, seconds: int = 300) -> Window:
    (window,) = board.windows(seconds, NOW)
    return window


def test_a_window_counts_what_lies_in_it() -> None:
    board = WindowBoard()
    for i in range(100):
        board.add(outcome(i, latency=float(i + 1)))
    board.add(outcome(5, latency=None, kind="error"))
    board.add(outcome(5, kind="blocked"))
    board.add(outcome(2000))
    window = only(board)
    assert (window.requests, window.errors, window.blocked) == (102, 1, 1)
    assert window.p50_ms and 48 < window.p50_ms < 54
    assert window.p95_ms and 92 < window.p95_ms < 103
    assert window.per_second == 102 / 300
    assert sum(p.requests for p in window.points) == 102


def test_late_outcomes_land_in_their_own_bucket() -> None:
    board = WindowBoard()
    for seconds in (5, 65, 35, 64, 5):
        board.add(outcome(seconds))
    points = only(board).points
    assert [p.at for p in points] == sorted(p.at for p in points)
    assert [p.requests for p in points] == [2, 1, 2]


def test_a_newer_rating_replaces_the_older_one() -> None:
    board = WindowBoard()
    board.add(outcome(5))
    board.rate(KEY, NOW, 1)
    board.rate(KEY, NOW, -1, replaced=1)
    window = only(board)
    assert (window.ratings, window.rating_mean) == (1, -1.0)


def test_memory_is_bounded() -> None:
    board = WindowBoard()
    for hour in range(3):
        for second in range(0, 3600, 5):
            board.add(outcome(hour * 3600 + second))
    for version in range(1000):
        board.add(outcome(1, version=f"v{version}"))
    assert len(board) <= 50
    assert all(len(s.buckets) <= 360 for s in board._workloads["docs"].values())
    for workload in range(6000):
        board.count(SeriesKey(f"w{workload}", "1", "production"), "ok", 1.0, NOW)
    assert len(board) <= 5000


def test_a_busy_workload_does_not_push_out_a_quiet_one_s_incumbent() -> None:
    board = WindowBoard()
    now = datetime.now(UTC)
    quiet = SeriesKey("quiet", "incumbent", "production")
    board.count(quiet, "ok", 1.0, now - timedelta(minutes=50))
    for version in range(1000):
        board.count(SeriesKey("busy", f"v{version}", "production"), "ok", 1.0, now)
    assert [w.requests for w in board.windows(3600, now, "quiet")] == [1]
    for workload in range(4990):
        board.count(SeriesKey(f"w{workload}", "1", "production"), "ok", 1.0, now)
    assert [w.requests for w in board.windows(3600, now, "quiet")] == [1]


def test_a_window_that_is_asked_for_again_is_what_a_new_board_would_say() -> None:
    dice = random.Random(5)
    old = WindowBoard()
    seen: list[Outcome] = []
    for step in range(300):
        now = NOW + timedelta(seconds=3 * step)
        # Some come late, some of them into buckets that are not there yet.
        late = dice.choice((0, 0, 0, 15, 45, 200))
        kind: Kind = dice.choice(("ok", "ok", "error", "blocked"))
        seen.append(
            Outcome("r", "docs", "1", "production", kind, 100.0, now - timedelta(seconds=late))
        )
        old.add(seen[-1])
        fresh = WindowBoard()
        for one in seen:
            fresh.add(one)
        for seconds in (60, 300):
            assert old.windows(seconds, now) == fresh.windows(seconds, now)


def test_objectives_raise_and_resolve_with_hysteresis() -> None:
    rules = Slo(p95_ms=1000, error_rate=0.1)

    def reading(p95: float, requests: int = 50) -> list[slo.Reading]:
        board = WindowBoard()
        for _ in range(requests):
            board.add(outcome(1, latency=p95))
        return slo.readings(only(board), rules)

    assert reading(5000, requests=19) == []
    rate, p95 = reading(1500)
    assert (rate.objective, p95.objective) == ("error_rate", "p95_ms")
    assert slo.change(False, p95) == "breached"
    assert slo.change(True, p95) is None
    assert slo.change(False, rate) is None
    assert slo.change(True, reading(950)[1]) is None
    assert slo.change(True, reading(800)[1]) == "kept"
    assert p95.alert == "slo/p95_ms/1"
    assert "objective 1000 ms" in p95.summary

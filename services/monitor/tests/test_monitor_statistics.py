"""Intervals against published values and against simulation."""

import random

import pytest

from headrace_monitor.core import statistics
from headrace_monitor.core.histogram import LatencyHistogram


def test_newcombe_gives_the_values_of_his_paper() -> None:
    # Newcombe 1998, table II, method 10, contrast (a) 56/70 - 48/80: 0.0524 to 0.3339 at 95 %.
    difference, low, high = statistics.difference_of_rates((56, 70), (48, 80), 0.975)
    assert difference == pytest.approx(0.2)
    assert low == pytest.approx(0.0524, abs=1e-4)
    assert high == pytest.approx(0.3339, abs=1e-4)


def test_newcombe_covers_at_small_numbers() -> None:
    dice = random.Random(3)
    misses = 0
    for _ in range(2000):
        ours = sum(dice.random() < 0.1 for _ in range(40))
        theirs = sum(dice.random() < 0.1 for _ in range(80))
        misses += statistics.difference_of_rates((ours, 40), (theirs, 80), 0.95)[1] > 0
    assert misses / 2000 <= 0.06


def test_wilson_without_trials_says_nothing() -> None:
    assert statistics.wilson(0, 0, 1.645) == (0.0, 1.0)


def test_welch_bound_is_that_of_the_t_distribution() -> None:
    # scipy.stats.ttest_ind(ours, theirs, equal_var=False, alternative="less") says -0.15563.
    ours = [-1, 0, 1, 1, -1, 0, 1, -1, 0, 1]
    theirs = [1, 1, 0, 1, 1, 1, 0, 1, 1, 1]
    high = statistics.upper_bound_of_mean_difference(ours, theirs, 0.95)
    assert high == pytest.approx(-0.15563, abs=1e-3)


def test_p95_ratio_bound_tells_twice_as_slow_from_equal() -> None:
    dice = random.Random(5)
    theirs = [dice.lognormvariate(0, 0.3) for _ in range(200)]
    equal = [dice.lognormvariate(0, 0.3) for _ in range(200)]
    slow = [2.5 * dice.lognormvariate(0, 0.3) for _ in range(200)]
    assert statistics.lower_bound_of_p95_ratio(equal, theirs, 0.95) < 1.0
    assert statistics.lower_bound_of_p95_ratio(slow, theirs, 0.95) > 1.8


def test_histogram_quantiles_are_within_two_and_a_half_percent() -> None:
    dice = random.Random(11)
    values = [dice.lognormvariate(6, 1) for _ in range(5000)]
    histogram = LatencyHistogram()
    for value in values:
        histogram.add(value)
    ordered = sorted(values)
    for q in (0.01, 0.5, 0.95, 0.99):
        exact = ordered[int(q * 5000) - 1]
        assert histogram.quantile(q) == pytest.approx(exact, rel=0.026)


def test_histogram_of_nothing_has_no_quantile() -> None:
    assert LatencyHistogram().quantile(0.5) is None

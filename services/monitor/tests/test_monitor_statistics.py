"""The bound of the mean difference and the histogram, against published values."""

import random

import pytest

from headrace_monitor.core import statistics
from headrace_monitor.core.histogram import LatencyHistogram


def test_welch_bound_is_that_of_the_t_distribution() -> None:
    # scipy.stats.ttest_ind(ours, theirs, equal_var=False, alternative="less") says -0.15563.
    ours = [-1, 0, 1, 1, -1, 0, 1, -1, 0, 1]
    theirs = [1, 1, 0, 1, 1, 1, 0, 1, 1, 1]
    high = statistics.upper_bound_of_mean_difference(ours, theirs, 0.95)
    assert high == pytest.approx(-0.15563, abs=1e-3)


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

"""Intervals cover what they claim to cover."""

import numpy as np
import pytest

from headrace_evaluator.core.comparison import compare
from headrace_evaluator.core.intervals import RESAMPLES, lower_bound, two_sided
from headrace_evaluator.core.scores import RowScore, RowScores


def mean(values: np.ndarray, axis: int) -> np.ndarray:
    return values.mean(axis=axis)


def test_as_many_resamples_as_promised() -> None:
    assert RESAMPLES >= 2000


def test_same_seed_same_bounds_and_another_seed_other_ones() -> None:
    values = (np.random.default_rng(1).normal(size=50),)
    assert two_sided(values, mean, 0.95, seed=3) == two_sided(values, mean, 0.95, seed=3)
    assert two_sided(values, mean, 0.95, seed=0) != two_sided(values, mean, 0.95, seed=3)


def test_agrees_with_the_normal_interval_on_normal_data() -> None:
    values = np.random.default_rng(2).normal(0.3, 1.0, size=400)
    half = 1.96 * values.std(ddof=1) / np.sqrt(400)
    found = two_sided((values,), mean, 0.95)
    assert found.low == pytest.approx(values.mean() - half, abs=0.012)
    assert found.high == pytest.approx(values.mean() + half, abs=0.012)
    bound = lower_bound((values,), mean, 0.95)
    assert bound == pytest.approx(values.mean() - 1.645 * half / 1.96, abs=0.012)


def test_equal_rows_give_a_point() -> None:
    found = two_sided((np.zeros(10),), mean, 0.95)
    assert (found.low, found.high) == (0.0, 0.0)


def test_one_row_that_differs_gives_finite_bounds() -> None:
    values = np.zeros(30)
    values[0] = 1.0
    found = two_sided((values,), mean, 0.95)
    assert 0.0 <= found.low <= values.mean() <= found.high < 0.3


@pytest.mark.parametrize("metric", ["exact_match", "rouge_l", "perplexity"])
def test_coverage_is_what_is_claimed(metric: str) -> None:
    """200 evaluations of 80 rows with a known true difference: about 95 % of intervals hold it."""
    random, held, above = np.random.default_rng(7), 0, 0
    trials = 200
    for _ in range(trials):
        ours, theirs, truth, better = draw(metric, random)
        comparison = compare(metric, ours, theirs)  # type: ignore[arg-type]
        result = comparison.result(0.95)
        held += result.low <= truth <= result.high
        above += comparison.improvement_bound(0.95) <= better
    # Standard deviation of the share is 1.5 %; small skewed samples cover a little less.
    assert 0.89 <= held / trials <= 0.99
    assert 0.89 <= above / trials <= 0.99


def draw(metric: str, random: np.random.Generator) -> tuple[RowScores, RowScores, float, float]:
    """Rows of two models, the true difference, and how much better the first is."""
    count = 80
    if metric == "perplexity":
        tokens = random.integers(5, 40, count)
        hard = random.gamma(4.0, 0.5, count)  # nats per token, the same row for both models
        theirs = hard * tokens
        ours = (hard - 0.2) * tokens + random.normal(0, 0.3, count) * tokens
        truth = np.expm1(-0.2)
        return (
            {f"r{i}": RowScore(loss=ours[i], tokens=int(tokens[i])) for i in range(count)},
            {f"r{i}": RowScore(loss=theirs[i], tokens=int(tokens[i])) for i in range(count)},
            truth,
            -truth,
        )
    if metric == "exact_match":
        theirs = (random.random(count) < 0.3).astype(float)
        ours = np.where(random.random(count) < 0.5, 1.0, theirs)
        truth = 0.5 * 0.7
        make = [RowScore(exact_match=float(v)) for v in ours]
        other = [RowScore(exact_match=float(v)) for v in theirs]
    else:
        theirs = random.beta(1, 4, count)
        ours = 0.5 * theirs + 0.5 * random.beta(2, 3, count)
        truth = 0.5 * (0.4 - 0.2)
        make = [RowScore(rouge_l=float(v)) for v in ours]
        other = [RowScore(rouge_l=float(v)) for v in theirs]
    keys = [f"r{i}" for i in range(count)]
    return dict(zip(keys, make, strict=True)), dict(zip(keys, other, strict=True)), truth, truth

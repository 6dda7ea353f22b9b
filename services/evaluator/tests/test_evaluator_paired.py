"""The score interval of paired right-or-wrong answers, counted out exactly."""

import itertools
import math

import numpy as np
import pytest
from scipy.stats import multinomial

from headrace_evaluator.core import paired
from headrace_events.evidence import least_loss, rows_for

CONFIDENCE = 0.95


@pytest.mark.parametrize("rows", [3, 5, 8, 12, 20, 35, 60])
def test_at_most_five_in_a_hundred_that_are_just_too_bad_pass(rows: int) -> None:
    """Not simulated: every outcome, with its probability, at every rate of disagreement."""
    outcomes = np.array([(w, x) for w in range(rows + 1) for x in range(rows + 1 - w)])
    bounds = np.array([paired.lower(int(w), int(x), rows, CONFIDENCE) for w, x in outcomes])
    worst = 0.0
    for margin, rate in itertools.product(
        (-0.3, -0.15, -0.1, -0.05, -0.02, -0.01, 0.0, 0.1),
        (0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.8, 1.0),
    ):
        won, lost = (rate + margin) / 2, (rate - margin) / 2
        opened = outcomes[bounds >= margin]
        if won < 0 or lost < 0 or not len(opened):
            continue
        cells = np.column_stack([opened, rows - opened.sum(axis=1)])
        chances = multinomial.pmf(cells, rows, [won, lost, max(0.0, 1 - rate)])
        worst = max(worst, float(chances.sum()))
    assert worst <= 1 - CONFIDENCE + 1e-9


def test_more_rows_prove_more() -> None:
    bounds = [paired.lower(rows // 20, rows // 20, rows, CONFIDENCE) for rows in (20, 100, 1000)]
    assert bounds == sorted(bounds)


def test_upper_mirrors_lower() -> None:
    assert paired.upper(7, 3, 50, CONFIDENCE) == -paired.lower(3, 7, 50, CONFIDENCE)
    assert paired.lower(7, 3, 50, CONFIDENCE) < (7 - 3) / 50 < paired.upper(7, 3, 50, CONFIDENCE)


def test_many_rows_agree_with_the_normal_interval() -> None:
    won, lost, rows = 1200, 800, 10_000
    difference = (won - lost) / rows
    error = math.sqrt((won + lost) / rows - difference**2) / math.sqrt(rows)
    found = paired.lower(won, lost, rows, CONFIDENCE)
    assert found == pytest.approx(difference - 1.645 * error, abs=2e-4)


@pytest.mark.parametrize("rows", [1, 2, 5, 20, 100, 446, 5000])
def test_least_loss_is_the_bound_without_disagreement(rows: int) -> None:
    found = least_loss(rows, CONFIDENCE)
    assert found == pytest.approx(-paired.lower(0, 0, rows, CONFIDENCE), abs=1e-9)


@pytest.mark.parametrize("loss", [0.005, 0.01, 0.02, 0.1, 0.5, 1.0])
def test_rows_for_is_the_least_number_that_does(loss: float) -> None:
    rows = rows_for(loss, CONFIDENCE)
    assert least_loss(rows, CONFIDENCE) <= loss + 1e-12
    assert rows == 1 or least_loss(rows - 1, CONFIDENCE) > loss


def test_a_loss_that_is_none_needs_no_rows() -> None:
    for loss in (0.0, -0.1, 1.5):
        with pytest.raises(ValueError, match="share"):
            rows_for(loss, CONFIDENCE)

"""Score intervals against published values and simulation, and the requests that a rule needs."""

import random

import pytest

from headrace_events import canary_evidence as evidence
from headrace_events.workload import Canary


def test_newcombe_gives_the_values_of_his_paper() -> None:
    # Newcombe 1998, table II, method 10, contrast (a) 56/70 - 48/80: 0.0524 to 0.3339 at 95 %.
    difference, low, high = evidence.difference_of_rates((56, 70), (48, 80), 0.975)
    assert difference == pytest.approx(0.2)
    assert low == pytest.approx(0.0524, abs=1e-4)
    assert high == pytest.approx(0.3339, abs=1e-4)


def test_newcombe_covers_at_small_numbers() -> None:
    dice = random.Random(3)
    misses = 0
    for _ in range(2000):
        ours = sum(dice.random() < 0.1 for _ in range(40))
        theirs = sum(dice.random() < 0.1 for _ in range(80))
        misses += evidence.difference_of_rates((ours, 40), (theirs, 80), 0.95)[1] > 0
    assert misses / 2000 <= 0.06


def test_wilson_without_trials_says_nothing() -> None:
    assert evidence.wilson(0, 0, 1.645) == (0.0, 1.0)


def test_one_more_request_is_what_was_missing() -> None:
    for limit in (0.3, 0.05, 0.01):
        needed = evidence.clean_requests(limit)
        assert needed
        assert evidence.wilson(0, needed, 1.645)[1] <= limit
        assert evidence.wilson(0, needed - 1, 1.645)[1] > limit
    assert evidence.clean_requests(0.05) == 52


def test_nothing_shows_a_limit_of_nothing() -> None:
    assert evidence.clean_requests(0.0) is None
    assert evidence.canary_requests(Canary(max_error_rate_increase=0.0), 20) is None


def test_a_canary_needs_more_the_fewer_requests_its_incumbent_gets() -> None:
    needed = [evidence.canary_requests(Canary(), weight) for weight in (20, 50, 70, 90, 99)]
    assert needed == sorted(needed, key=lambda n: n or 0)
    assert needed[:3] == [61, 70, 80]


def test_whoever_applies_a_manifest_is_told_what_its_numbers_cannot_show() -> None:
    few = evidence.note(Canary(steps=(20, 50), min_requests=8))
    assert "8 requests" in few and "61 at weight 20" in few
    assert "cannot tell" in evidence.note(Canary(max_error_rate_increase=0.0))
    assert evidence.note(Canary(steps=(20, 50), min_requests=200)) == ""

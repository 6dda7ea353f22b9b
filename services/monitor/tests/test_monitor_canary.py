"""The judge of a canary's step."""

import random

import pytest

from headrace_events.workload import Canary, Slo
from headrace_monitor.core.canary import Arm, judge, needed

RULES = Canary(steps=(20, 50), min_requests=30)
SLO = Slo(p95_ms=2000, error_rate=0.05)
DICE = random.Random(7)


def arm(
    requests: int,
    *,
    errors: int = 0,
    median: float = 400.0,
    ratings: tuple[int, ...] = (),
    cold: tuple[float, ...] = (),
    seed: int = 1,
) -> Arm:
    dice = random.Random(seed)
    answers = requests - errors - len(cold)
    latencies = (*cold, *(median * dice.lognormvariate(0, 0.2) for _ in range(answers)))
    return Arm("2", requests, errors, latencies, ratings)


def test_an_equal_candidate_advances() -> None:
    verdict = judge(arm(30), arm(120, seed=2), RULES, SLO, 20)
    assert verdict.verdict == "advance"
    assert {c.name for c in verdict.checks} == {"errors", "latency", "rating"}


@pytest.mark.parametrize(("candidate", "incumbent"), [(0, 500), (29, 500), (500, 0), (500, 14)])
def test_without_enough_requests_on_both_sides_it_waits(candidate: int, incumbent: int) -> None:
    assert judge(arm(candidate), arm(incumbent), RULES, SLO, 50).verdict == "wait"


def test_what_the_incumbent_needs_falls_with_its_share() -> None:
    assert [needed(RULES, weight)[1] for weight in (5, 20, 50, 80, 100)] == [30, 30, 15, 3, 0]


def test_more_errors_fail() -> None:
    verdict = judge(arm(60, errors=18), arm(120), RULES, SLO, 20)
    assert verdict.verdict == "fail"
    assert "18/60" in verdict.reason or "18 of 60" in verdict.reason


def test_a_broken_candidate_is_stopped_before_it_has_all_its_requests() -> None:
    verdict = judge(arm(12, errors=12), arm(40), RULES, SLO, 20)
    assert verdict.verdict == "fail"
    assert "stopped early" in verdict.reason


def test_without_an_incumbent_to_compare_nothing_is_stopped_early() -> None:
    assert judge(arm(12, errors=12), arm(0), RULES, SLO, 20).verdict == "wait"


def test_one_error_is_unclear_until_more_requests_tell() -> None:
    assert judge(arm(30, errors=1), arm(120), RULES, SLO, 20).verdict == "wait"
    assert judge(arm(120, errors=1), arm(480), RULES, SLO, 20).verdict == "advance"


def test_what_stays_unclear_fails() -> None:
    verdict = judge(arm(150, errors=7), arm(600), RULES, SLO, 20)
    assert verdict.verdict == "fail"
    assert "still unclear" in verdict.reason


def test_an_incumbent_with_the_same_errors_excuses_the_candidate() -> None:
    assert judge(arm(60, errors=6), arm(60, errors=6), RULES, SLO, 50).verdict == "advance"


def test_a_slow_candidate_fails() -> None:
    verdict = judge(arm(60, median=2000), arm(120, median=400), RULES, SLO, 20)
    assert verdict.verdict == "fail"
    assert "p95" in verdict.reason


def test_cold_first_requests_do_not_fail_a_candidate() -> None:
    assert judge(arm(30, cold=(9000, 8000, 7000)), arm(120), RULES, SLO, 20).verdict == "advance"


def test_a_few_milliseconds_are_not_a_ratio() -> None:
    fast, faster = arm(60, median=9), arm(120, median=2)
    assert judge(fast, faster, RULES, SLO, 20).verdict == "advance"


def test_worse_ratings_fail_and_few_ratings_do_not_count() -> None:
    good, bad = (1,) * 30 + (-1,) * 5, (-1,) * 20 + (1,) * 4
    assert judge(arm(60, ratings=bad), arm(60, ratings=good), RULES, SLO, 50).verdict == "fail"
    assert judge(arm(60, ratings=bad[:5]), arm(60, ratings=good), RULES, SLO, 50).verdict == (
        "advance"
    )


def test_alone_it_is_held_against_the_objectives() -> None:
    assert judge(arm(30), arm(0), RULES, SLO, 100).verdict == "advance"
    assert judge(arm(30, errors=12), arm(0), RULES, SLO, 100).verdict == "fail"
    assert judge(arm(30, median=5000), arm(0), RULES, SLO, 100).verdict == "wait"
    assert judge(arm(150, median=5000), arm(0), RULES, SLO, 100).verdict == "fail"


def test_equal_arms_hardly_ever_fail_and_bad_ones_hardly_ever_advance() -> None:
    dice = random.Random(3)

    def outcome(error_rate: float, median: float) -> str:
        """Let a step run until it is judged."""
        for requests in range(30, 151, 5):
            errors = sum(dice.random() < error_rate for _ in range(requests))
            theirs = sum(dice.random() < 0.01 for _ in range(requests * 4))
            verdict = judge(
                arm(requests, errors=errors, median=median, seed=dice.randrange(10**6)),
                arm(requests * 4, errors=theirs, seed=dice.randrange(10**6)),
                RULES,
                SLO,
                20,
            ).verdict
            if verdict != "wait":
                return verdict
        return "wait"

    equal = [outcome(0.01, 400) for _ in range(40)]
    failing = [outcome(0.3, 400) for _ in range(40)]
    slow = [outcome(0.01, 1400) for _ in range(40)]
    assert equal.count("advance") >= 38
    assert failing.count("advance") == 0
    assert slow.count("advance") <= 1

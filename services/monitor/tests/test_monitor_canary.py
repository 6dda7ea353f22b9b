"""The judge of a canary's step."""

import random
import time

import pytest

from headrace_events.workload import Canary, Slo
from headrace_monitor.core.canary import Arm, Verdict, judge, most, needed

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


def finding(verdict: Verdict, name: str) -> str:
    (found,) = [c.finding for c in verdict.checks if c.name == name]
    return found


def test_an_equal_candidate_advances() -> None:
    verdict = judge(arm(61), arm(244, seed=2), RULES, SLO, 20)
    assert verdict.verdict == "advance"
    assert [c.finding for c in verdict.checks] == ["not_worse", "not_worse", "not_judged"]


def test_nothing_among_few_requests_shows_nothing() -> None:
    # 0/8 against 0/31 advanced, because the difference is not above 0; its bound is +25 %.
    few = RULES.model_copy(update={"min_requests": 8})
    verdict = judge(arm(8), arm(31), few, SLO, 20)
    assert verdict.verdict == "wait"
    assert finding(verdict, "errors") == "unclear"
    assert "errors 0/8 against 0/31" in verdict.reason
    assert "44 more without one would do" in verdict.reason


def test_it_advances_at_the_first_request_that_shows_it() -> None:
    for weight in (20, 40, 50, 70):
        wanted = needed(RULES, weight)[0]
        theirs = arm(round(wanted * (100 - weight) / weight), seed=2)
        assert judge(arm(wanted + 2), theirs, RULES, SLO, weight).verdict == "advance", weight
        assert judge(arm(wanted - 2), theirs, RULES, SLO, weight).verdict == "wait", weight


@pytest.mark.parametrize(("candidate", "incumbent"), [(0, 500), (29, 500), (100, 0), (100, 14)])
def test_without_enough_requests_on_both_sides_it_waits(candidate: int, incumbent: int) -> None:
    assert judge(arm(candidate), arm(incumbent), RULES, SLO, 50).verdict == "wait"


def test_an_incumbent_that_nobody_asks_does_not_hold_a_step_for_ever() -> None:
    verdict = judge(arm(most(RULES, 50)), arm(3), RULES, SLO, 50)
    assert verdict.verdict == "cannot_tell"
    assert "incumbent 3 of 15" in verdict.reason


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
    assert judge(arm(61, errors=1), arm(240), RULES, SLO, 20).verdict == "wait"
    assert judge(arm(120, errors=1), arm(480), RULES, SLO, 20).verdict == "advance"


def test_what_stays_unclear_ends_and_is_not_called_worse() -> None:
    verdict = judge(arm(most(RULES, 20), errors=14), arm(1200), RULES, SLO, 20)
    assert verdict.verdict == "cannot_tell"
    assert verdict.reason.startswith("cannot tell after 305 requests: errors 14/305")
    assert "worse" not in {c.finding for c in verdict.checks}


def test_a_limit_that_nothing_can_show_ends_too() -> None:
    strict = RULES.model_copy(update={"max_error_rate_increase": 0.0})
    assert judge(arm(149), arm(600), strict, SLO, 20).verdict == "wait"
    verdict = judge(arm(150), arm(600), strict, SLO, 20)
    assert verdict.verdict == "cannot_tell"
    assert "no number of requests shows it" in verdict.reason


def test_an_incumbent_with_the_same_errors_excuses_the_candidate() -> None:
    assert judge(arm(250, errors=12), arm(250, errors=12), RULES, SLO, 50).verdict == "advance"


def test_a_slow_candidate_fails() -> None:
    verdict = judge(arm(60, median=2000), arm(120, median=400), RULES, SLO, 20)
    assert verdict.verdict == "fail"
    assert "p95" in verdict.reason


def test_few_answers_have_no_p95_and_do_not_pass_for_fast() -> None:
    # 52 requests of which 43 were answered without a latency cannot come from errors alone.
    ours = Arm("2", 60, 0, arm(12).latencies_ms)
    verdict = judge(ours, arm(240), RULES, SLO, 20)
    assert verdict.verdict == "wait"
    assert finding(verdict, "latency") == "unclear"


def test_cold_first_requests_do_not_fail_a_candidate() -> None:
    assert judge(arm(64, cold=(9000, 8000, 7000)), arm(256), RULES, SLO, 20).verdict == "advance"


def test_a_few_milliseconds_are_not_a_ratio() -> None:
    fast, faster = arm(64, median=9), arm(256, median=2)
    assert judge(fast, faster, RULES, SLO, 20).verdict == "advance"


def test_worse_ratings_fail_and_few_or_none_are_said_not_to_count() -> None:
    good, bad = (1,) * 30 + (-1,) * 5, (-1,) * 20 + (1,) * 4
    ours, theirs = arm(100, ratings=bad), arm(100, ratings=good, seed=2)
    assert judge(ours, theirs, RULES, SLO, 50).verdict == "fail"
    few = judge(arm(100, ratings=bad[:5]), theirs, RULES, SLO, 50)
    assert (few.verdict, finding(few, "rating")) == ("advance", "not_judged")
    assert "ratings 5 and 35, 10 needed of each: not compared" in few.reason
    none = judge(arm(100), arm(100, seed=2), RULES, SLO, 50)
    assert (none.verdict, finding(none, "rating")) == ("advance", "not_judged")
    assert "no ratings" in none.reason


def test_alone_it_is_held_against_the_objectives() -> None:
    assert judge(arm(30), arm(0), RULES, SLO, 100).verdict == "wait"
    assert judge(arm(60), arm(0), RULES, SLO, 100).verdict == "advance"
    assert judge(arm(30, errors=12), arm(0), RULES, SLO, 100).verdict == "fail"
    assert judge(arm(60, median=5000), arm(0), RULES, SLO, 100).verdict == "fail"
    silent = Arm("2", 60, 0)
    assert judge(silent, arm(0), RULES, SLO, 100).verdict == "wait"


def test_a_judgement_of_the_largest_arms_takes_milliseconds() -> None:
    # The bootstrap took a second and more of the event loop, each second.
    ours = Arm("2", 10**6, 9000, arm(1000, median=600).latencies_ms, (1, 0, -1) * 1666)
    theirs = Arm("1", 10**6, 9000, arm(1000, seed=2).latencies_ms, (1, 0, -1) * 1666)
    start = time.process_time()
    for _ in range(5):
        judge(ours, theirs, RULES, SLO, 50)
    assert (time.process_time() - start) / 5 < 0.05


def test_equal_arms_hardly_ever_fail_and_bad_ones_hardly_ever_advance() -> None:
    dice = random.Random(3)

    def outcome(error_rate: float, median: float) -> str:
        """Let a step run until it is judged."""
        for requests in range(30, most(RULES, 20) + 10, 5):
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
    assert slow.count("advance") == 0

"""Routes and canaries: every transition, stickiness, weights."""

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace_events.references import ArtefactRef, ModelRef
from headrace_events.rollout import (
    ArmStats,
    CanaryJudged,
    RolloutFinished,
    RolloutStarted,
    RolloutStepped,
)
from headrace_serving.core import routing
from headrace_serving.core.routing import Route, choose

BASE = ModelRef(name="docs", version="base", base="b")
STATS = ArmStats(version="1", requests=1, errors=0, p50_ms=1, p95_ms=1)


def version(number: str) -> ModelRef:
    artefact = ArtefactRef(uri=f"file:///{number}", digest=f"sha256:{number}", size_bytes=1)
    return ModelRef(name="docs", version=number, base="b", artefact=artefact)


def judged(rollout_id: str = "r1", step: int = 0, verdict: str = "advance") -> CanaryJudged:
    return CanaryJudged.model_validate(
        {
            "rollout_id": rollout_id,
            "step": step,
            "verdict": verdict,
            "reason": "why",
            "candidate": STATS,
            "incumbent": STATS,
        }
    )


def approved(route: Route | None = None, number: str = "1", rollout_id: str = "r1") -> Route:
    route, _ = routing.approve(
        route or Route("docs"), version(number), BASE, rollout_id, (20, 50, 100)
    )
    return route


def running(step: int = 0) -> Route:
    route, _ = routing.start(approved(), "r1")
    for at in range(step):
        route, _ = routing.judge(route, judged(step=at))
    return route


def arms(route: Route, keys: int = 2000) -> Counter[str]:
    return Counter(choose(route, "b", f"request-{n}", f"key-{n}").arm for n in range(keys))


def test_a_workload_without_versions_is_answered_by_its_base() -> None:
    choice = choose(Route("docs"), "b", "r", None)
    assert (choice.arm, choice.model) == ("base", BASE)


def test_a_candidate_gets_no_traffic_before_it_is_loaded() -> None:
    assert arms(approved()) == {"base": 2000}


def test_start_gives_the_first_weight_and_says_so() -> None:
    route, (fact,) = routing.start(approved(), "r1")
    assert isinstance(fact, RolloutStarted)
    assert (fact.step, fact.weight, fact.steps) == (0, 20, (20, 50, 100))
    assert 300 <= arms(route)["canary"] <= 500


def test_starting_twice_or_a_stranger_changes_nothing() -> None:
    route = running()
    assert routing.start(route, "r1") == (route, [])
    assert routing.start(approved(), "other") == (approved(), [])


def test_advance_walks_the_steps_and_then_succeeds() -> None:
    route, (fact,) = routing.judge(running(), judged())
    assert isinstance(fact, RolloutStepped)
    assert (fact.step, fact.weight) == (1, 50)
    route, (fact,) = routing.judge(route, judged(step=1))
    assert isinstance(fact, RolloutStepped)
    route, (fact,) = routing.judge(route, judged(step=2))
    assert isinstance(fact, RolloutFinished)
    assert fact.outcome == "succeeded"
    assert arms(route) == {"canary": 2000}  # until the registry promotes
    assert routing.judge(route, judged(step=2)) == (route, [])


@pytest.mark.parametrize("old", [judged("r0"), judged(step=1), judged("r0", verdict="fail")])
def test_old_judgements_are_ignored(old: CanaryJudged) -> None:
    assert routing.judge(running(), old) == (running(), [])


def test_a_repeated_judgement_moves_once() -> None:
    once, _ = routing.judge(running(), judged())
    assert routing.judge(once, judged()) == (once, [])


def test_fail_gives_the_traffic_back() -> None:
    route, (fact,) = routing.judge(running(1), judged(step=1, verdict="fail"))
    assert isinstance(fact, RolloutFinished)
    assert (fact.outcome, fact.reason) == ("failed", "why")
    assert arms(route) == {"base": 2000}


def test_a_candidate_that_cannot_be_loaded_ends_its_rollout() -> None:
    route, (fact,) = routing.fail(approved(), "r1", "digest differs")
    assert isinstance(fact, RolloutFinished)
    assert (fact.outcome, route.canary) == ("failed", None)
    assert routing.fail(route, "r1", "again") == (route, [])


def test_a_newer_approval_supersedes_a_running_canary() -> None:
    route, (fact,) = routing.approve(running(), version("2"), BASE, "r2", (10,))
    assert isinstance(fact, RolloutFinished)
    assert (fact.rollout_id, fact.outcome) == ("r1", "failed")
    assert route.canary is not None
    assert route.canary.candidate.version == "2"


def test_the_same_approval_twice_is_one_rollout() -> None:
    assert routing.approve(running(), version("1"), BASE, "r1", (20,)) == (running(), [])


def test_promotion_and_rollback() -> None:
    promoted, (fact,) = routing.promote(running(2), version("1"), "asked for")
    assert promoted.canary is None
    # Somebody did not wait for the end of its canary: it is over all the same.
    assert isinstance(fact, RolloutFinished)
    assert (fact.outcome, fact.reason) == ("succeeded", "asked for")
    assert routing.promote(promoted, version("1")) == (promoted, [])
    assert arms(promoted) == {"production": 2000}
    restored = routing.roll_back(promoted, version("1"), BASE)
    assert arms(restored) == {"base": 2000}


def test_a_rejected_version_loses_its_canary_only() -> None:
    route, (fact,) = routing.reject(running(), version("1"), "gate")
    assert isinstance(fact, RolloutFinished)
    assert route.canary is None
    assert routing.reject(running(), version("7"), "gate") == (running(), [])


@given(key=st.text(max_size=20), requests=st.lists(st.text(max_size=8), min_size=2, max_size=5))
def test_one_key_is_always_on_one_side(key: str, requests: list[str]) -> None:
    if not key:
        return
    assert len({choose(running(), "b", r, key).arm for r in requests}) == 1


@given(key=st.text(min_size=1, max_size=20))
def test_a_rising_weight_takes_nobody_out_of_the_canary(key: str) -> None:
    seen = [choose(running(step), "b", "r", key).arm == "canary" for step in range(3)]
    assert seen == sorted(seen)


def test_another_rollout_has_other_testers() -> None:
    def testers(rollout_id: str) -> set[int]:
        route, _ = routing.start(approved(rollout_id=rollout_id), rollout_id)
        return {n for n in range(500) if choose(route, "b", "r", f"k{n}").arm == "canary"}

    assert len(testers("r1") & testers("r9")) < 50


def test_without_a_key_the_request_decides() -> None:
    sides: Any = {choose(running(), "b", f"request-{n}", None).arm for n in range(100)}
    assert sides == {"base", "canary"}

"""What people decide: each command in each state, and what follows for the rest of the line."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from headrace_events.evaluation import EvaluationRequested
from headrace_events.models import (
    ModelApproved,
    ModelPromoted,
    ModelRejected,
    ModelRetired,
    ModelRolledBack,
)
from headrace_events.rollout import PromotionRequested, RetirementRequested, RollbackRequested
from headrace_registry.core.decisions import Decision
from headrace_registry.core.interventions import (
    decide,
    on_promotion,
    on_retirement,
    on_rollback,
)
from headrace_registry.core.versions import Line, State, Version, base_ref

NOON = datetime(2026, 11, 26, 12, tzinfo=UTC)


def states(decision: Decision) -> dict[str, State]:
    assert decision.refusal is None, decision.refusal
    return {v.version: v.state for v in decision.changes}


def kinds(decision: Decision) -> list[type]:
    return [type(fact) for fact in decision.facts]


def to(version: str | None = None, reason: str = "complaints") -> RollbackRequested:
    return RollbackRequested(to=version, reason=reason)


def promotion(version: str) -> PromotionRequested:
    return PromotionRequested(version=version, reason="it was the disk")


def retirement(version: str) -> RetirementRequested:
    return RetirementRequested(version=version, reason="rows had to be deleted")


class Story:
    """A line that decisions are applied to, one after the other."""

    def __init__(self, *versions: Version) -> None:
        self.line = Line("docs", versions)

    def __call__(self, asked: Any) -> Decision:
        decision = decide(self.line, asked)
        assert decision.refusal is None, decision.refusal
        self.line = self.line.with_changes(decision.changes)
        assert sum(v.state is State.PROMOTED for v in self.line.versions) <= 1
        assert sum(v.state is State.APPROVED for v in self.line.versions) <= 1
        return decision

    @property
    def production(self) -> str:
        return self.line.production.version if self.line.production else "base"


def three(make: SimpleNamespace) -> Story:
    """1, then 2, then 3 were promoted by their canaries."""
    return Story(
        make.version(1, State.RETIRED, replaced="base"),
        make.version(2, State.PREVIOUS, replaced="1"),
        make.version(3, State.PROMOTED, replaced="2"),
    )


NOT_PROVEN = {State.REGISTERED: "evaluation", State.REJECTED: "rejected"}


@pytest.mark.parametrize("state", State)
def test_promotion_in_each_state(make: SimpleNamespace, state: State) -> None:
    one = make.version(1, state, reason="rouge_l: bound -0.25, needed +0.00")
    one = make.version(1, state, reason=one.reason, evaluation=make.evaluated(one))
    decision = on_promotion(make.line(one), promotion("1"))
    if state in NOT_PROVEN:
        assert decision.refusal and NOT_PROVEN[state] in decision.refusal
        if state is State.REJECTED:
            assert "rouge_l: bound -0.25" in decision.refusal
    elif state is State.PROMOTED:
        assert decision == Decision()
    elif state is State.ROLLED_BACK:
        assert states(decision) == {"1": State.PROMOTED}
    else:
        assert states(decision) == {"1": State.PROMOTED}
        (fact,) = decision.facts
        assert fact == ModelPromoted(
            model=one.ref, previous=base_ref("docs", "smol"), reason="it was the disk"
        )


@pytest.mark.parametrize("state", State)
def test_retirement_in_each_state(make: SimpleNamespace, state: State) -> None:
    one = make.version(1, state, reason="as it was")
    decision = on_retirement(make.line(one), retirement("1"))
    if state is State.PROMOTED:
        assert decision.refusal and "is in production" in decision.refusal
    elif state is State.REJECTED:
        assert decision.refusal and "as it was" in decision.refusal
    else:
        assert states(decision) == {"1": State.RETIRED}
        assert decision.facts == (ModelRetired(model=one.ref, reason="rows had to be deleted"),)
        again = on_retirement(make.line(*decision.changes), retirement("1"))
        assert again == Decision()


@pytest.mark.parametrize("state", State)
def test_rollback_to_each_state(make: SimpleNamespace, state: State) -> None:
    if state is State.PROMOTED:
        return
    now = make.version(2, State.PROMOTED, replaced="base")
    one = make.version(1, state, replaced="base", reason="as it was")
    decision = on_rollback(make.line(one, now), to("1"))
    if state in (State.PREVIOUS, State.RETIRED):
        assert states(decision) == {"2": State.ROLLED_BACK, "1": State.PROMOTED}
    else:
        assert decision.refusal
    if state not in (State.PREVIOUS, State.ROLLED_BACK):
        never = make.version(1, state)
        refusal = on_rollback(make.line(never, now), to("1")).refusal
        assert refusal and "never was in production" in refusal


def test_a_version_without_a_passed_evaluation_is_not_promoted_by_way_of_retirement(
    make: SimpleNamespace,
) -> None:
    for evaluation in (None, "failed", "of another time"):
        one, now = make.version(1), make.version(2, State.PROMOTED, replaced="base")
        done = make.evaluated(one, now.ref)
        if evaluation == "failed":
            shut = make.results(passed=False, bound=-0.25, reason="0.1 against 0.3")
            done = make.evaluated(one, now.ref, gates=shut, passed=False)
        if evaluation == "of another time":
            done = make.evaluated(one)
        story = Story(make.version(1, evaluation=done if evaluation else None), now)
        story(retirement("1"))
        refusal = on_promotion(story.line, promotion("1")).refusal
        assert refusal
        expected = {None: "waits for its evaluation", "failed": "rouge_l: bound -0.2500"}
        assert expected.get(evaluation, "not in production any more") in refusal


def test_rollback_goes_back_step_by_step_to_the_base(make: SimpleNamespace) -> None:
    story = three(make)
    facts = [story(to()).facts[0] for _ in range(3)]
    assert all(isinstance(fact, ModelRolledBack) for fact in facts)
    assert [(f.model.version, f.restored.version) for f in facts] == [
        ("3", "2"), ("2", "1"), ("1", "base"),
    ]  # fmt: skip
    refusal = on_rollback(story.line, to()).refusal
    assert refusal and "the base is in production" in refusal
    assert on_rollback(story.line, to("base")) == Decision()


def test_rollback_goes_further_back_at_once(make: SimpleNamespace) -> None:
    story = three(make)
    decision = story(to("1"))
    assert states(decision) == {
        "3": State.ROLLED_BACK,
        "2": State.RETIRED,
        "1": State.PROMOTED,
    }
    assert kinds(decision) == [ModelRetired, ModelRolledBack]
    assert story.line.aliases() == {"production": "1"}
    assert on_rollback(story.line, to("1")) == Decision()
    story = three(make)
    story(to("base"))
    assert story.production == "base"


def test_a_rolled_back_version_is_promoted_again_and_can_be_rolled_back_again(
    make: SimpleNamespace,
) -> None:
    story = three(make)
    story(to("base"))
    story(promotion("3"))
    assert story.production == "3"
    assert story.line.find("3") and story.line.find("3").replaced == "base"
    assert on_promotion(story.line, promotion("3")) == Decision()
    story(promotion("1"))
    assert story.line.aliases() == {"production": "1", "previous": "3"}
    story(to())
    assert story.production == "3"
    # Version 1 was just found to be bad: it is not what comes next.
    story(to())
    assert story.production == "base"


def test_what_was_rolled_back_or_retired_by_hand_is_not_chosen_by_a_rollback(
    make: SimpleNamespace,
) -> None:
    story = three(make)
    story(retirement("2"))
    refusal = on_rollback(story.line, to("2")).refusal
    assert refusal and "retired by hand" in refusal and "rows had to be deleted" in refusal
    story(to())
    assert story.production == "1"
    refusal = on_rollback(story.line, to("3")).refusal
    assert refusal and "was rolled back itself (complaints)" in refusal
    story(promotion("2"))
    assert story.line.find("2") and not story.line.find("2").withdrawn


def test_two_people_who_see_the_same_fault_go_one_step_back(make: SimpleNamespace) -> None:
    line = three(make).line
    first = on_rollback(line, to(), NOON)
    line = Line(
        "docs",
        tuple(
            make.version(
                int(v.version), v.state, replaced=v.replaced, reason=v.reason, changed_at=NOON
            )
            for v in line.with_changes(first.changes).versions
        ),
    )
    soon = NOON + timedelta(seconds=7)
    refusal = on_rollback(line, to(), soon).refusal
    assert refusal and "3 was rolled back 7 s ago (complaints)" in refusal
    assert refusal.endswith("name it: 1")
    assert states(on_rollback(line, to("1"), soon))["1"] is State.PROMOTED
    later = on_rollback(line, to(), NOON + timedelta(seconds=61))
    assert states(later)["1"] is State.PROMOTED


def test_a_running_canary_ends_when_production_changes(make: SimpleNamespace) -> None:
    for asked in (to(), to("base"), promotion("1")):
        canary = make.version(4, State.APPROVED)
        waiting = make.version(5)
        now = three(make).line
        queued = make.version(
            5, State.QUEUED, evaluation=make.evaluated(waiting, now.production.ref)
        )
        story = Story(*now.versions, canary, queued)
        decision = story(asked)
        assert states(decision)["4"] is State.REJECTED
        (ended,) = [f for f in decision.facts if isinstance(f, ModelRejected)]
        assert ended.model == canary.ref
        # The one that waited has to be measured against what is in production now.
        assert states(decision)["5"] is State.REGISTERED
        (again,) = [f for f in decision.facts if isinstance(f, EvaluationRequested)]
        assert again.incumbent == story.line.incumbent("smol")


def test_the_canary_itself_is_promoted_or_retired(make: SimpleNamespace) -> None:
    now = make.version(1, State.PROMOTED, replaced="base")
    plain = make.version(2)
    canary = make.version(2, State.APPROVED, evaluation=make.evaluated(plain, now.ref))
    queued = make.version(3, State.QUEUED, evaluation=make.evaluated(make.version(3), now.ref))
    promoted = on_promotion(make.line(now, canary, queued), promotion("2"))
    assert states(promoted) == {
        "1": State.PREVIOUS, "2": State.PROMOTED, "3": State.REGISTERED,
    }  # fmt: skip
    assert kinds(promoted) == [ModelPromoted, EvaluationRequested]
    retired = on_retirement(make.line(now, canary, queued), retirement("2"))
    assert states(retired) == {"2": State.RETIRED, "3": State.APPROVED}
    assert kinds(retired) == [ModelRetired, ModelApproved]


def test_unknown_versions_are_refused(make: SimpleNamespace) -> None:
    line = three(make).line
    for asked in (to("9"), promotion("9"), retirement("9")):
        assert decide(line, asked).refusal == "version 9 is not registered"


def test_rollback_puts_the_previous_version_back_and_ends_the_canary(
    make: SimpleNamespace,
) -> None:
    old, bad, canary = (
        make.version(1, State.PREVIOUS, replaced="base"),
        make.version(2, State.PROMOTED, replaced="1"),
        make.version(3, State.APPROVED),
    )
    line = make.line(old, bad, canary)
    decision = on_rollback(line, RollbackRequested(reason="complaints"))
    assert states(decision) == {
        "2": State.ROLLED_BACK,
        "1": State.PROMOTED,
        "3": State.REJECTED,
    }
    assert next(iter(states(decision))) == "2"
    assert decision.facts[0] == ModelRolledBack(
        model=bad.ref, restored=old.ref, reason="complaints"
    )
    # Again: what version 1 replaced was the base.
    line = line.with_changes(decision.changes)
    again = on_rollback(line, RollbackRequested(reason="more"))
    (fact,) = again.facts
    assert isinstance(fact, ModelRolledBack)
    assert fact.restored == base_ref("docs", "smol")
    line = line.with_changes(again.changes)
    assert line.aliases() == {}
    assert on_rollback(line, RollbackRequested(reason="more")).refusal

"""The state machine: what each event decides, and what it cannot."""

import itertools
from types import SimpleNamespace

import pytest

from headrace_events.evaluation import EvaluationFailed, EvaluationRequested
from headrace_events.models import ModelApproved, ModelPromoted, ModelRejected, ModelRetired
from headrace_registry.core.decisions import (
    Decision,
    on_evaluated,
    on_evaluation_failed,
    on_rollout_finished,
)
from headrace_registry.core.versions import TRANSITIONS, IllegalTransition, State, base_ref


def states(decision: Decision) -> dict[str, State]:
    return {v.version: v.state for v in decision.changes}


def kinds(decision: Decision) -> list[type]:
    return [type(fact) for fact in decision.facts]


def test_an_evaluation_that_proves_every_gate_approves(make: SimpleNamespace) -> None:
    one = make.version(1)
    decision = on_evaluated(make.line(one), make.evaluated(one), make.gates)
    assert states(decision) == {"1": State.APPROVED}
    (fact,) = decision.facts
    assert fact == ModelApproved(
        model=one.ref, incumbent=base_ref("docs", "smol"), evaluation_id="e-1"
    )


def test_a_failed_gate_rejects_and_names_metric_and_bound(make: SimpleNamespace) -> None:
    one = make.version(1)
    shut = make.results(passed=False, bound=-0.25, reason="0.1 against 0.3 (base)")
    done = make.evaluated(one, gates=shut, passed=False)
    decision = on_evaluated(make.line(one), done, make.gates)
    assert states(decision) == {"1": State.REJECTED}
    (fact,) = decision.facts
    assert isinstance(fact, ModelRejected)
    assert "rouge_l" in fact.reason
    assert "-0.2500" in fact.reason
    assert fact.evaluation_id == "e-1"


def test_evaluation_on_another_dataset_is_refused(make: SimpleNamespace) -> None:
    one = make.version(1)
    decision = on_evaluated(
        make.line(one), make.evaluated(one, dataset=make.dataset(7)), make.gates
    )
    assert decision.refusal
    assert not decision.changes
    assert not decision.facts


def test_failed_evaluation_rejects(make: SimpleNamespace) -> None:
    one = make.version(1)
    failed = EvaluationFailed(evaluation_id="e", model=one.ref, reason="no holdout")
    decision = on_evaluation_failed(make.line(one), failed)
    assert states(decision) == {"1": State.REJECTED}
    (fact,) = decision.facts
    assert isinstance(fact, ModelRejected)
    assert "no holdout" in fact.reason


def test_canary_that_succeeds_replaces_production(make: SimpleNamespace) -> None:
    old, now, new = (
        make.version(1, State.PREVIOUS),
        make.version(2, State.PROMOTED, replaced="1"),
        make.version(3, State.APPROVED),
    )
    decision = on_rollout_finished(make.line(old, now, new), make.finished(new))
    assert states(decision) == {"1": State.RETIRED, "2": State.PREVIOUS, "3": State.PROMOTED}
    # Production is left before it is taken: the database allows one at a time.
    assert list(states(decision)) == ["1", "2", "3"]
    assert kinds(decision) == [ModelRetired, ModelPromoted]
    assert decision.facts[1] == ModelPromoted(model=new.ref, previous=now.ref)
    line = make.line(old, now, new).with_changes(decision.changes)
    assert line.aliases() == {"production": "3", "previous": "2"}
    assert line.find("3") is not None
    assert line.find("3").replaced == "2"


def test_first_promotion_replaces_the_base(make: SimpleNamespace) -> None:
    one = make.version(1, State.APPROVED)
    decision = on_rollout_finished(make.line(one), make.finished(one))
    (fact,) = decision.facts
    assert isinstance(fact, ModelPromoted)
    assert fact.previous == base_ref("docs", "smol")


def test_canary_that_fails_is_rejected_and_production_stays(make: SimpleNamespace) -> None:
    now, new = make.version(1, State.PROMOTED), make.version(2, State.APPROVED)
    decision = on_rollout_finished(make.line(now, new), make.finished(new, "failed"))
    assert states(decision) == {"2": State.REJECTED}
    (fact,) = decision.facts
    assert isinstance(fact, ModelRejected)
    assert "errors 9 %" in fact.reason


def test_canary_of_another_artefact_is_not_promoted(make: SimpleNamespace) -> None:
    one, other = make.version(1, State.APPROVED), make.version(2)
    candidate = one.ref.model_copy(update={"artefact": other.artefact})
    decision = on_rollout_finished(make.line(one), make.finished(one, candidate=candidate))
    assert states(decision) == {"1": State.REJECTED}


def test_second_candidate_waits_for_the_canary_and_the_newest_waiting_one_wins(
    make: SimpleNamespace,
) -> None:
    canary, second, third = make.version(1, State.APPROVED), make.version(2), make.version(3)
    line = make.line(canary, second, third)
    queued = on_evaluated(line, make.evaluated(second), make.gates)
    assert states(queued) == {"2": State.QUEUED}
    assert not queued.facts
    line = line.with_changes(queued.changes)
    newer = on_evaluated(line, make.evaluated(third), make.gates)
    assert states(newer) == {"2": State.REJECTED, "3": State.QUEUED}
    line = line.with_changes(newer.changes)

    # The canary failed: what the queued one beat is still in production, so it goes on.
    failed = on_rollout_finished(line, make.finished(canary, "failed"))
    assert states(failed) == {"1": State.REJECTED, "3": State.APPROVED}
    assert kinds(failed) == [ModelRejected, ModelApproved]

    # It succeeded: the queued one has to be measured against it.
    succeeded = on_rollout_finished(line, make.finished(canary))
    assert states(succeeded) == {"1": State.PROMOTED, "3": State.REGISTERED}
    assert kinds(succeeded) == [ModelPromoted, EvaluationRequested]
    asked = succeeded.facts[1]
    assert isinstance(asked, EvaluationRequested)
    assert asked.incumbent == canary.ref


def test_evaluation_against_a_former_incumbent_is_asked_for_again(make: SimpleNamespace) -> None:
    now, new = make.version(1, State.PROMOTED), make.version(2)
    line = make.line(now, new)
    decision = on_evaluated(line, make.evaluated(new), make.gates)  # against the base
    assert states(decision) == {"2": State.REGISTERED}
    assert kinds(decision) == [EvaluationRequested]
    again = on_evaluated(
        line.with_changes(decision.changes), make.evaluated(new, now.ref), make.gates
    )
    assert states(again) == {"2": State.APPROVED}


@pytest.mark.parametrize("state", [s for s in State if s is not State.REGISTERED])
def test_evaluation_in_a_wrong_state_is_refused(make: SimpleNamespace, state: State) -> None:
    one = make.version(1, state)
    for decision in (
        on_evaluated(make.line(one), make.evaluated(one), make.gates),
        on_evaluation_failed(
            make.line(one), EvaluationFailed(evaluation_id="e", model=one.ref, reason="x")
        ),
    ):
        assert decision.refusal
        assert state in decision.refusal
        assert not decision.changes
        assert not decision.facts


@pytest.mark.parametrize("state", [s for s in State if s is not State.APPROVED])
def test_rollout_in_a_wrong_state_is_refused(make: SimpleNamespace, state: State) -> None:
    one = make.version(1, state)
    decision = on_rollout_finished(make.line(one), make.finished(one))
    if state is State.PROMOTED:  # by hand, which ended its canary
        assert decision == Decision()
        decision = on_rollout_finished(make.line(one), make.finished(one, "failed"))
    assert decision.refusal


def test_unknown_version_is_refused(make: SimpleNamespace) -> None:
    assert on_evaluated(make.line(), make.evaluated(make.version(1)), make.gates).refusal


@pytest.mark.parametrize(("before", "after"), list(itertools.product(State, State)))
def test_only_listed_transitions_exist(make: SimpleNamespace, before: State, after: State) -> None:
    one = make.version(1, before)
    if after in TRANSITIONS[before]:
        assert one.to(after).state is after
    else:
        with pytest.raises(IllegalTransition):
            one.to(after)

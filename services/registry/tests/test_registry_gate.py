"""The gate fails closed: whatever is not proven keeps it shut."""

from types import SimpleNamespace

import pytest

from headrace_events.workload import Gate
from headrace_registry.core.gate import shut_reason


def test_opens_when_all_is_proven(make: SimpleNamespace) -> None:
    one = make.version(1)
    assert shut_reason(one, make.evaluated(one), make.gates) is None


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"passed": False}, "rouge_l"),
        ({"bound": None}, "not measured"),
        ({"bound": float("nan")}, "nan"),
        ({"bound": float("inf")}, "inf"),
        ({"bound": -0.0001}, "-0.0001"),
        ({"margin": -0.5}, "no result for the gate"),
        ({"metric": "exact_match"}, "no result for the gate"),
    ],
)
def test_each_unproven_gate_keeps_it_shut(
    make: SimpleNamespace, changes: dict[str, object], said: str
) -> None:
    one = make.version(1)
    reason = shut_reason(one, make.evaluated(one, gates=make.results(**changes)), make.gates)
    assert reason
    assert said in reason


def test_a_result_missing_altogether_keeps_it_shut(make: SimpleNamespace) -> None:
    one = make.version(1)
    for gates in ((), make.results()[:1], make.results()[1:]):
        assert shut_reason(one, make.evaluated(one, gates=gates), make.gates)


def test_passed_false_keeps_it_shut_even_if_all_gates_say_passed(make: SimpleNamespace) -> None:
    one = make.version(1)
    assert shut_reason(one, make.evaluated(one, passed=False), make.gates)


def test_another_artefact_keeps_it_shut(make: SimpleNamespace) -> None:
    one, other = make.version(1), make.version(2)
    for artefact in (other.artefact, None):
        model = one.ref.model_copy(update={"artefact": artefact})
        reason = shut_reason(one, make.evaluated(one, model=model), make.gates)
        assert reason
        assert "artefact" in reason


def test_no_manifest_keeps_it_shut(make: SimpleNamespace) -> None:
    one = make.version(1)
    assert shut_reason(one, make.evaluated(one), None)
    assert shut_reason(one, make.evaluated(one), ())


def test_two_gates_of_one_metric_and_margin_must_both_hold(make: SimpleNamespace) -> None:
    one = make.version(1)
    twice = (Gate(metric="rouge_l", margin=0.0), Gate(metric="rouge_l", margin=0.0, against="base"))
    good, bad = make.results()[0], make.results(passed=False, bound=-1.0)[0]
    assert shut_reason(one, make.evaluated(one, gates=(good, bad)), twice)
    assert shut_reason(one, make.evaluated(one, gates=(good, good)), twice) is None

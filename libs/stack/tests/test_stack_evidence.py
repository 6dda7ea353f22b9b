"""What `apply` says about gates and canaries that the declared numbers can never pass."""

from typing import Any

from headrace_events.workload import Manifest
from headrace_stack.evidence import notes


def manifest(**spec: Any) -> Manifest:
    return Manifest.model_validate(
        {
            "apiVersion": "headrace/v1",
            "kind": "Workload",
            "metadata": {"name": "w"},
            "spec": spec,
        }
    )


def gated(margin: float, max_rows: int, metric: str = "exact_match", **data: Any) -> Manifest:
    gates = [{"metric": metric, "margin": margin}]
    return manifest(evaluate={"gates": gates, "max_rows": max_rows}, data=data)


ENOUGH = {
    "evaluate": {"gates": [{"metric": "rouge_l", "margin": -0.01}], "max_rows": 1000},
    "data": {"min_rows": 5000, "holdout": 0.1},
}


def test_a_gate_that_no_equal_model_can_pass_is_named_with_the_rows_that_it_needs() -> None:
    (note,) = notes(gated(-0.01, 100))
    assert note.startswith("spec.evaluate.gates[0]: 100 rows (evaluate.max_rows)")
    assert "0.044" in note
    assert "446 rows" in note


def test_a_dataset_of_the_least_size_is_looked_at_too() -> None:
    (note,) = notes(gated(-0.1, 1000, min_rows=50, holdout=0.1))
    assert "(50) has 5 rows" in note
    assert "from about 420 rows on" in note


def test_nothing_is_said_where_there_is_enough() -> None:
    assert notes(gated(-0.01, 1000, min_rows=5000, holdout=0.1)) == []


def test_a_gate_that_wants_better_and_perplexity_need_no_note() -> None:
    assert notes(gated(0.02, 10)) == []
    assert notes(gated(-0.01, 10, metric="perplexity")) == []


def test_a_canary_of_too_few_requests_is_named_with_those_that_it_needs() -> None:
    (note,) = notes(manifest(**ENOUGH, serve={"canary": {"min_requests": 30}}))
    assert note.startswith("spec.serve.canary: 30 requests (min_requests)")
    assert "70 at weight 50" in note
    assert notes(manifest(**ENOUGH)) == []

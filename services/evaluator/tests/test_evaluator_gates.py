"""Gates pass on proof only."""

import math

import numpy as np
import pytest

from headrace_evaluator.core import paired
from headrace_evaluator.core.gates import decide
from headrace_evaluator.core.order import Order
from headrace_evaluator.core.scores import Asking, RowScore, RowScores, Scored, join, model_key
from headrace_evaluator.core.verdict import judge
from headrace_events.evidence import least_loss
from headrace_events.references import ArtefactRef, DatasetRef, ModelRef, TableRef
from headrace_events.workload import Evaluate, Gate


def scores(values: list[float], loss: float = 1.0) -> RowScores:
    return {
        f"r{i}": RowScore(exact_match=float(v > 0.5), rouge_l=v, loss=loss + v, tokens=5)
        for i, v in enumerate(values)
    }


GOOD, BAD = scores([0.8, 0.7, 0.9, 0.6] * 5), scores([0.2, 0.1, 0.3, 0.2] * 5)
MODEL = ModelRef(
    name="w",
    version="2",
    base="b",
    artefact=ArtefactRef(uri="file:///a", digest="sha256:1", size_bytes=1),
)
INCUMBENT = MODEL.model_copy(
    update={
        "version": "1",
        "artefact": ArtefactRef(uri="file:///b", digest="sha256:2", size_bytes=1),
    }
)
BASE = ModelRef(name="w", version="base", base="b")
DATASET = DatasetRef(
    version=1,
    table=TableRef(uri="file:///d", version=0),
    digest="sha256:d",
    train_rows=9,
    holdout_rows=20,
)
ORDER = Order("e", MODEL, INCUMBENT, DATASET)


@pytest.mark.parametrize("metric", ["exact_match", "rouge_l"])
def test_better_passes_and_worse_fails(metric: str) -> None:
    gate = Gate(metric=metric, margin=0.1)  # type: ignore[arg-type]
    good = decide(gate, GOOD, BAD, "base")
    assert good.passed
    assert good.bound is not None
    assert good.bound >= 0.1
    worse = decide(gate, BAD, GOOD, "base")
    assert not worse.passed
    assert worse.bound is not None
    assert worse.bound < 0


def test_the_bound_decides_not_the_mean() -> None:
    """A mean above the margin with a bound below it is no proof."""
    ours, theirs = scores([1.0, 0.0, 1.0, 0.0, 1.0]), scores([0.0, 0.5, 0.5, 0.5, 0.4])
    gate = Gate(metric="rouge_l", margin=0.0)
    result = decide(gate, ours, theirs, "base")
    assert not result.passed
    assert "0.6000 against 0.3800" in result.reason


def test_perplexity_improvement_is_relative_and_lower_is_better() -> None:
    lower, higher = scores([0.2] * 10, loss=1.0), scores([0.2] * 10, loss=2.0)
    improvement = 1 - math.exp(-1 / 5)
    passed = decide(Gate(metric="perplexity", margin=improvement - 0.001), lower, higher, "base")
    assert passed.passed
    assert passed.bound == pytest.approx(improvement)
    assert not decide(
        Gate(metric="perplexity", margin=improvement + 0.001), lower, higher, "base"
    ).passed
    assert not decide(Gate(metric="perplexity"), higher, lower, "base").passed


@pytest.mark.parametrize("metric", ["exact_match", "rouge_l", "perplexity"])
@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ({}, {}),
        ({}, BAD),
        (GOOD, {}),
        (dict(list(GOOD.items())[:1]), dict(list(BAD.items())[:1])),
        (dict.fromkeys(GOOD, RowScore()), BAD),
        (GOOD, dict.fromkeys(BAD, RowScore())),
        (GOOD | {"r3": RowScore(math.nan, math.nan, math.nan, 5)}, BAD),
        (GOOD, BAD | {"r3": RowScore(math.inf, math.inf, math.inf, 5)}),
        (dict(reversed(GOOD.items())), BAD),
    ],
)
def test_whatever_is_missing_or_not_a_number_fails_closed(
    metric: str, ours: RowScores, theirs: RowScores
) -> None:
    # A margin that anything would meet: only the missing proof can fail it.
    result = decide(Gate(metric=metric, margin=-1e9), ours, theirs, "base")  # type: ignore[arg-type]
    assert not result.passed
    assert result.bound is None
    assert metric in result.reason


def test_verdict_has_the_metrics_and_all_gates() -> None:
    gates = (
        Gate(metric="rouge_l", margin=-0.2),  # 20 equal rows can exclude a loss of 19.6 points
        Gate(metric="exact_match", margin=0.2, against="base"),
    )
    found = judge(
        ORDER, Evaluate(gates=gates), {MODEL: GOOD, INCUMBENT: GOOD, BASE: BAD}, seconds=2.0
    )
    assert found.passed
    assert [m.metric for m in found.metrics] == ["exact_match", "rouge_l", "perplexity"]
    assert [(g.metric, g.passed) for g in found.gates] == [("rouge_l", True), ("exact_match", True)]
    assert found.metrics[1].difference == 0.0
    assert "(base)" in found.gates[1].reason
    assert "version 1" in found.gates[0].reason


def test_one_gate_shut_is_enough() -> None:
    gates = (Gate(metric="rouge_l", margin=-0.2), Gate(metric="exact_match", margin=0.5))
    found = judge(ORDER, Evaluate(gates=gates), {MODEL: GOOD, INCUMBENT: GOOD}, seconds=1.0)
    assert [g.passed for g in found.gates] == [True, False]
    assert not found.passed


def test_a_model_without_scores_shuts_every_gate_and_gives_no_metric() -> None:
    for known in ({}, {MODEL: GOOD}, {INCUMBENT: GOOD}):
        found = judge(ORDER, Evaluate(gates=(Gate(metric="rouge_l", margin=-9),)), known, 1.0)
        assert not found.passed
        assert not found.metrics
        assert found.gates[0].bound is None


def test_what_cannot_be_measured_leaves_the_event_readable() -> None:
    """NaN would become null in JSON and the event unreadable: such a metric is left out."""
    broken = GOOD | {"r3": RowScore(1.0, 0.5, math.nan, 5)}
    gates = (Gate(metric="perplexity", margin=-1e9),)
    found = judge(ORDER, Evaluate(gates=gates), {MODEL: broken, INCUMBENT: BAD}, 1.0)
    assert not found.passed
    assert [m.metric for m in found.metrics] == ["exact_match", "rouge_l"]
    assert type(found).model_validate_json(found.model_dump_json()) == found


def test_base_is_scored_only_when_a_gate_is_against_it() -> None:
    assert ORDER.models(Evaluate()) == (MODEL, INCUMBENT)
    against = Evaluate(gates=(Gate(metric="rouge_l", against="base"),))
    assert ORDER.models(against) == (MODEL, INCUMBENT, BASE)
    first = Order("e", MODEL, BASE, DATASET)
    assert first.models(against) == (MODEL, BASE)


def test_shares_join_to_one_order_for_all_models() -> None:
    one = Scored({"m": {"c": RowScore(1.0)}, "n": {"c": RowScore(0.0)}}, 1, 2)
    two = Scored({"n": {"a": RowScore(0.0)}, "m": {"a": RowScore(1.0)}}, 0, 1)
    found = join([one, two])
    assert list(found.scores["m"]) == list(found.scores["n"]) == ["a", "c"]
    assert (found.skipped_rows, found.reused_rows) == (1, 3)


def test_a_model_key_tells_apart_all_that_changes_scores() -> None:
    asking = Asking.of(Evaluate(), None)
    keys = {
        model_key(MODEL, asking),
        model_key(INCUMBENT, asking),
        model_key(BASE, asking),
        model_key(BASE.model_copy(update={"base": "c"}), asking),
        model_key(BASE, Asking.of(Evaluate(max_tokens=7), None)),
        model_key(BASE, Asking.of(Evaluate(), "Be short.")),
        model_key(
            BASE, Asking.of(Evaluate(metrics=("rouge_l",), gates=(Gate(metric="rouge_l"),)), None)
        ),
    }
    assert len(keys) == 7
    # A version number does not: the same artefact under another number has the same scores.
    renamed = MODEL.model_copy(update={"version": "9"})
    assert model_key(renamed, asking) == model_key(MODEL, asking)


def right_or_wrong(won: int, lost: int, rows: int) -> tuple[RowScores, RowScores]:
    """Two models that disagree on so many rows."""
    ours = [1.0] * won + [0.0] * lost + [1.0] * (rows - won - lost)
    theirs = [0.0] * won + [1.0] * lost + [1.0] * (rows - won - lost)
    return (
        {f"r{i}": RowScore(exact_match=v, rouge_l=v) for i, v in enumerate(ours)},
        {f"r{i}": RowScore(exact_match=v, rouge_l=v) for i, v in enumerate(theirs)},
    )


@pytest.mark.parametrize("metric", ["exact_match", "rouge_l"])
@pytest.mark.parametrize(("rows", "passes"), [(5, False), (100, False), (445, False), (446, True)])
def test_rows_without_a_difference_prove_only_what_so_many_can(
    metric: str, rows: int, passes: bool
) -> None:
    """A candidate 2 points worse shows no difference on 100 rows in 13 % of samples, on 5 in 90."""
    same, _ = right_or_wrong(0, 0, rows)
    result = decide(Gate(metric=metric, margin=-0.01), same, same, "version 1")  # type: ignore[arg-type]
    assert result.passed is passes
    assert result.bound == pytest.approx(-least_loss(rows, 0.95), abs=1e-6)


def test_a_candidate_two_points_worse_seldom_passes() -> None:
    """It was let through whenever a sample showed no difference."""
    random, opened, samples = np.random.default_rng(3), 0, 2000
    gate = Gate(metric="exact_match", margin=-0.01)
    for lost in random.binomial(100, 0.02, samples):
        ours, theirs = right_or_wrong(0, int(lost), 100)
        opened += decide(gate, ours, theirs, "version 1").passed
    assert opened / samples <= 0.05


def test_a_few_rows_that_differ_in_a_bounded_score_count_as_the_whole_scale() -> None:
    theirs = scores([0.5] * 60)
    ours = scores([0.5] * 57 + [0.49, 0.9, 0.9])
    result = decide(Gate(metric="rouge_l", margin=-0.05), ours, theirs, "version 1")
    assert result.bound == pytest.approx(paired.lower(0, 1, 60, 0.95))
    assert not result.passed


def test_perplexity_of_models_that_hardly_differ_is_not_measured() -> None:
    same = scores([0.2] * 50)
    result = decide(Gate(metric="perplexity", margin=-1e9), same, same, "version 1")
    assert not result.passed
    assert "differ on 0 of 50 rows" in result.reason

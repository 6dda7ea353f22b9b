"""Two versions side by side: what they were made of, and scores where they can be compared."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from headrace_events.evaluation import EvaluationCompleted, MetricResult


@dataclass(frozen=True)
class Side:
    """One of the two; the base itself has neither settings nor an evaluation of its own."""

    version: str
    facts: Mapping[str, Any]
    settings: Mapping[str, Any] = field(default_factory=dict)
    evaluation: EvaluationCompleted | None = None


class Difference(BaseModel):
    """One fact of both."""

    name: str
    old: Any
    new: Any
    same: bool


class ScoreDifference(BaseModel):
    """One metric of both. `paired`: measured on the same rows, one answer against the other."""

    metric: str
    old: float | None
    new: float | None
    paired: bool
    difference: float | None = None
    """New minus old; of perplexity relative to the old, where less is better. Only if paired."""
    low: float | None = None
    high: float | None = None
    confidence: float | None = None
    rows: int | None = None


class Comparison(BaseModel):
    """Two versions side by side."""

    name: str
    old: str
    new: str
    facts: list[Difference]
    settings: list[Difference]
    scores: list[ScoreDifference]
    note: str
    """How far the scores can be held against each other."""


def compare(name: str, old: Side, new: Side) -> Comparison:
    """Put `new` beside `old`."""
    scores, note = _scores(old, new)
    return Comparison(
        name=name,
        old=old.version,
        new=new.version,
        facts=_differences(old.facts, new.facts),
        settings=_differences(old.settings, new.settings),
        scores=scores,
        note=note,
    )


def _differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Difference]:
    names = dict.fromkeys([*old, *new])
    pairs = [(name, old.get(name), new.get(name)) for name in names]
    return [Difference(name=name, old=a, new=b, same=a == b) for name, a, b in pairs]


def _scores(old: Side, new: Side) -> tuple[list[ScoreDifference], str]:
    if new.evaluation and new.evaluation.incumbent.version == old.version:
        note = f"version {new.version} was evaluated against {old.version}, on the same rows"
        return [_paired(m) for m in new.evaluation.metrics], note
    if old.evaluation and old.evaluation.incumbent.version == new.version:
        note = (
            f"version {old.version} was evaluated against {new.version}, on the same rows; the "
            "intervals are of that evaluation"
        )
        return [_reversed(m) for m in old.evaluation.metrics], note
    own = [_own(side) for side in (old, new)]
    scores = [
        ScoreDifference(metric=metric, old=own[0].get(metric), new=own[1].get(metric), paired=False)
        for metric in dict.fromkeys([*own[0], *own[1]])
    ]
    missing = [side.version for side in (old, new) if side.evaluation is None]
    if missing:
        return scores, f"no evaluation compares them: {' and '.join(missing)} has none of its own"
    return scores, (
        "each was scored in an evaluation of its own, maybe on other rows: the difference of two "
        "such scores may be chance"
    )


def _own(side: Side) -> dict[str, float]:
    return {m.metric: m.candidate for m in side.evaluation.metrics} if side.evaluation else {}


def _paired(found: MetricResult) -> ScoreDifference:
    return ScoreDifference(
        metric=found.metric,
        old=found.incumbent,
        new=found.candidate,
        paired=True,
        difference=found.difference,
        low=found.low,
        high=found.high,
        confidence=found.confidence,
        rows=found.rows,
    )


def _reversed(found: MetricResult) -> ScoreDifference:
    """The other way round; perplexity's relative difference has another divisor then."""
    turned = _paired(found).model_copy(update={"old": found.candidate, "new": found.incumbent})
    if found.metric == "perplexity":
        return turned.model_copy(update={"difference": None, "low": None, "high": None})
    return turned.model_copy(
        update={"difference": -found.difference, "low": -found.high, "high": -found.low}
    )

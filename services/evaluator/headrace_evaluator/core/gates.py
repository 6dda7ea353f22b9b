"""Gates: a candidate passes only on proof. Whatever is missing, NaN or too little fails."""

import math

from headrace_evaluator.core.comparison import NotMeasured, compare
from headrace_evaluator.core.scores import RowScores
from headrace_events.evaluation import GateResult
from headrace_events.workload import Gate


def decide(gate: Gate, candidate: RowScores, against: RowScores, name: str) -> GateResult:
    """Hold the one-sided bound of the improvement over `against` (called `name`) to the margin."""
    try:
        comparison = compare(gate.metric, candidate, against)
        bound = comparison.improvement_bound(gate.confidence)
        if not math.isfinite(bound):
            raise NotMeasured(f"{gate.metric}: its lower bound is not a finite number")
    except NotMeasured as error:
        return _result(gate, passed=False, bound=None, reason=str(error))
    passed = bound >= gate.margin
    reason = (
        f"{comparison.candidate:.4f} against {comparison.other:.4f} ({name}) on "
        f"{comparison.rows} rows, lower bound at {gate.confidence:.0%}"
    )
    return _result(gate, passed=passed, bound=bound, reason=reason)


def _result(gate: Gate, *, passed: bool, bound: float | None, reason: str) -> GateResult:
    return GateResult(
        metric=gate.metric, margin=gate.margin, passed=passed, bound=bound, reason=reason
    )

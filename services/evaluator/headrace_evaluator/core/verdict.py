"""From scores per row to the evaluation's metrics, gates and verdict."""

from headrace_evaluator.core.comparison import NotMeasured, compare
from headrace_evaluator.core.gates import decide
from headrace_evaluator.core.order import BASE, Order
from headrace_evaluator.core.scores import RowScores
from headrace_events.evaluation import EvaluationCompleted, GateResult, MetricResult
from headrace_events.references import ModelRef
from headrace_events.workload import Evaluate

_CONFIDENCE = 0.95


def judge(
    order: Order, evaluate: Evaluate, scores: dict[ModelRef, RowScores], seconds: float
) -> EvaluationCompleted:
    """Compare candidate and incumbent and decide each gate; a model without scores has no rows."""
    candidate = scores.get(order.model, {})
    incumbent = scores.get(order.incumbent, {})
    metrics: list[MetricResult] = []
    for metric in evaluate.metrics:
        try:
            metrics.append(compare(metric, candidate, incumbent).result(_CONFIDENCE))
        except NotMeasured:
            continue  # a gate on it says why; without a gate nothing depends on it
    gates: list[GateResult] = []
    for gate in evaluate.gates:
        against = order.base if gate.against == "base" else order.incumbent
        name = "base" if against.version == BASE else f"version {against.version}"
        gates.append(decide(gate, candidate, scores.get(against, {}), name))
    return EvaluationCompleted(
        evaluation_id=order.evaluation_id,
        model=order.model,
        incumbent=order.incumbent,
        dataset=order.dataset,
        metrics=tuple(metrics),
        gates=tuple(gates),
        passed=bool(gates) and all(gate.passed for gate in gates),
        seconds=seconds,
    )

"""The gate: opens only on an evaluation that proves every gate of the manifest. Fails closed."""

import math
from collections.abc import Sequence

from headrace_events.evaluation import EvaluationCompleted, GateResult
from headrace_events.workload import Gate
from headrace_registry.core.versions import Version


def shut_reason(
    version: Version, evaluation: EvaluationCompleted, gates: Sequence[Gate] | None
) -> str | None:
    """Say why the gate stays shut, or None when it opens; `gates` are the manifest's.

    The evaluator's `passed` alone is not believed: each gate is held against its bound again.
    """
    artefact = evaluation.model.artefact
    if artefact is None or artefact.digest != version.artefact.digest:
        return "the evaluation scored another artefact than the registered one (digest differs)"
    if not gates:
        return "no manifest with gates is known for this workload: apply it with `headrace apply`"
    shut = [reason for gate in gates if (reason := _gate_shut(gate, evaluation.gates))]
    if shut:
        return "; ".join(shut)
    return None if evaluation.passed else failed_gates(evaluation)


def failed_gates(evaluation: EvaluationCompleted) -> str:
    """Name the gates that an evaluation did not pass."""
    failed = [_describe(result) for result in evaluation.gates if not result.passed]
    return "; ".join(failed) or "the evaluation says that it did not pass"


def _gate_shut(gate: Gate, results: Sequence[GateResult]) -> str | None:
    # Two gates may differ only in `against`, which a result does not carry: all that fit must hold.
    fitting = [r for r in results if r.metric == gate.metric and r.margin == gate.margin]
    if not fitting:
        return (
            f"{gate.metric}: no result for the gate with margin {gate.margin:+g} in the evaluation"
        )
    return next((_describe(r) for r in fitting if not _holds(r)), None)


def _holds(result: GateResult) -> bool:
    bound = result.bound
    return result.passed and bound is not None and math.isfinite(bound) and bound >= result.margin


def _describe(result: GateResult) -> str:
    bound = "not measured" if result.bound is None else f"{result.bound:+.4f}"
    return f"{result.metric}: bound {bound}, needed {result.margin:+.4f} ({result.reason})"

"""Events of the evaluator."""

from typing import ClassVar

from headrace_events import topics
from headrace_events.envelope import EventData
from headrace_events.references import DatasetRef, ModelRef, Reference


class MetricResult(Reference):
    """One metric, paired over the same rows; `low`..`high` bounds candidate - incumbent.

    Perplexity's difference is relative to the incumbent's: -0.2 is 20 % lower, which is better.
    """

    metric: str
    candidate: float
    incumbent: float
    difference: float
    low: float
    high: float
    confidence: float
    rows: int


class GateResult(Reference):
    """One gate's decision; `bound` is what the margin was held against (None: not measured)."""

    metric: str
    margin: float
    passed: bool
    bound: float | None
    reason: str


class EvaluationRequested(EventData):
    """Somebody asks to evaluate a version (again)."""

    TYPE: ClassVar[str] = "evaluation.requested.v1"
    TOPIC: ClassVar[str] = topics.EVALUATION_REQUESTS

    model: ModelRef
    incumbent: ModelRef
    dataset: DatasetRef


class EvaluationCompleted(EventData):
    """Candidate and incumbent were scored on the same holdout rows."""

    TYPE: ClassVar[str] = "evaluation.completed.v1"
    TOPIC: ClassVar[str] = topics.EVALUATIONS

    evaluation_id: str
    model: ModelRef
    incumbent: ModelRef
    dataset: DatasetRef
    metrics: tuple[MetricResult, ...]
    gates: tuple[GateResult, ...]
    passed: bool
    seconds: float


class EvaluationFailed(EventData):
    """No scores: the gate stays shut."""

    TYPE: ClassVar[str] = "evaluation.failed.v1"
    TOPIC: ClassVar[str] = topics.EVALUATIONS

    evaluation_id: str
    model: ModelRef
    reason: str

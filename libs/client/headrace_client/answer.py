"""What a product service gets back."""

from dataclasses import dataclass, field
from typing import Literal

from headrace_events.inference import InferenceCompleted, Usage


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer, and which model gave it."""

    text: str = field(repr=False)
    workload: str
    model: str
    model_version: str
    arm: Literal["base", "production", "canary"]
    finish_reason: str
    usage: Usage
    latency_ms: float
    """From publishing the request to the end of the output checks."""
    trace_id: str | None
    request_id: str
    traceparent: str | None = field(repr=False, default=None)

    @classmethod
    def of(cls, outcome: InferenceCompleted, workload: str, traceparent: str) -> "Answer":
        """Read the outcome event."""
        return cls(
            text=outcome.text,
            workload=workload,
            model=outcome.model,
            model_version=outcome.model_version,
            arm=outcome.arm,
            finish_reason=outcome.finish_reason,
            usage=outcome.usage,
            latency_ms=outcome.latency_ms,
            trace_id=outcome.trace_id or traceparent.split("-")[1],
            request_id=outcome.request_id,
            traceparent=traceparent,
        )

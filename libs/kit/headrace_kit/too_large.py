"""The outcome of a request whose outcomes are too large to be events."""

from collections.abc import Sequence
from typing import Any, Literal

from headrace_events import Event
from headrace_events.inference import InferencePartGenerated, InferenceRejected
from headrace_kit.stream import Refuse
from headrace_kit.telemetry import trace_id_of

_DETAIL = "the request, or it with its answer, is larger than an event may be"


def too_large(source: str, stage: Literal["input", "output", "serving"]) -> Refuse:
    """Return what answers any event of the inference path with `inference.rejected`."""

    def refuse(event: Event[Any]) -> Sequence[Event[Any]]:
        if isinstance(event.data, InferencePartGenerated):
            return ()  # the whole answer is in the outcome
        request = getattr(event.data, "request", event.data)
        rejected = InferenceRejected(
            request_id=request.request_id,
            reason="invalid_request",
            detail=_DETAIL,
            stage=stage,
            trace_id=trace_id_of(event.traceparent),
            pinned=getattr(request, "pinned", False),
        )
        subject = request.request_id
        workload = event.workload
        return (
            Event.new(rejected, source=source, workload=workload, subject=subject, cause=event),
        )

    return refuse

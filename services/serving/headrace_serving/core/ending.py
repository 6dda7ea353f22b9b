"""How a request ends without an answer: why, and whose fault it was. One place for both ways in.

Every request that serving takes in ends once: with an answer, or with one `Ending`. Only a fault
of `version` counts against the model version that was to answer; `fault_of` in headrace_events is
what the monitor asks of the event that is made here.
"""

from dataclasses import dataclass
from typing import Literal

from headrace_events.inference import Fault, InferenceRejected
from headrace_serving.core.batching import DeadlineExceeded, Overloaded
from headrace_serving.core.cancellation import Cancelled
from headrace_serving.core.generation import (
    AdapterRefused,
    EngineError,
    GenerationFailed,
    RequestRefused,
)
from headrace_serving.core.routing import Choice

Stage = Literal["input", "output", "serving"]
Code = Literal[
    "cancelled",
    "content_filter",
    "context_length_exceeded",
    "deadline_exceeded",
    "engine_unavailable",
    "guardrails_unavailable",
    "model_not_found",
    "model_unavailable",
    "overloaded",
    "rate_limit_exceeded",
    "request_too_large",
    "unknown_workload",
]
"""What an HTTP error calls it; finer than the event's reason."""


@dataclass(frozen=True, slots=True)
class Ending:
    """The end of one request; `detail` never quotes what users sent."""

    reason: str
    """One of `InferenceRejected.reason`."""
    code: Code
    fault: Fault
    detail: str
    stage: Stage = "serving"

    def event(
        self,
        request_id: str,
        choice: Choice | None,
        trace_id: str | None,
        via: Literal["kafka", "http"],
        *,
        pinned: bool = False,
    ) -> InferenceRejected:
        """The outcome as everybody reads it; `choice` is the version that was to answer."""
        return InferenceRejected.model_validate(
            {
                "request_id": request_id,
                "reason": self.reason,
                "detail": self.detail,
                "stage": self.stage,
                "fault": self.fault,
                "model_version": choice.model.version if choice else None,
                "arm": choice.arm if choice else None,
                "trace_id": trace_id,
                "via": via,
                "pinned": pinned,
            }
        )


class Unanswered(Exception):
    """A request has come to an end without an answer."""

    def __init__(self, ending: Ending, choice: Choice | None = None) -> None:
        super().__init__(ending.detail)
        self.ending = ending
        self.choice = choice


CANCELLED = Ending("cancelled", "cancelled", "caller", "cancelled by the caller")
GONE = Ending("cancelled", "cancelled", "caller", "the caller went away before the answer ended")
STOPPED = Ending(
    "engine_error",
    "engine_unavailable",
    "capacity",
    "the service was stopped before the answer ended",
)
UNKNOWN_WORKLOAD = Ending(
    "unknown_workload",
    "unknown_workload",
    "caller",
    "no such workload: apply its manifest with `headrace apply`",
)
NO_ROOM = Ending(
    "overloaded",
    "overloaded",
    "capacity",
    "the service has more requests under way than it can take: try again in a moment",
)
CAME_TOO_LATE = Ending(
    "deadline_exceeded",
    "deadline_exceeded",
    "caller",
    "the deadline had passed when the request came",
)
TOO_LARGE = Ending(
    "invalid_request",
    "request_too_large",
    "caller",
    "the conversation and its answer are larger than an event may be",
)


def too_many(workload: str) -> Ending:
    """One workload has more under way than it may."""
    return Ending(
        "overloaded",
        "rate_limit_exceeded",
        "capacity",
        f"too many requests for {workload} are under way: send fewer at once, or again in a moment",
    )


def blocked(stage: Stage, detail: str) -> Ending:
    """A check refused the request (the caller's text) or the answer (the version's text)."""
    fault: Fault = "version" if stage == "output" else "caller"
    return Ending("guardrail", "content_filter", fault, detail, stage)


def guard_down(stage: Stage, error: str) -> Ending:
    """Guardrails gave no verdict, so nothing is let through."""
    return Ending(
        "guard_unavailable",
        "guardrails_unavailable",
        "guard",
        f"guardrails gave no verdict ({error}), so nothing is let through: try again",
        stage,
    )


def ending_of(error: Exception, *, own_deadline: bool = False) -> Ending:
    """What an error of generating means; `own_deadline`: the deadline was not the caller's."""
    match error:
        case Cancelled():
            return CANCELLED
        case DeadlineExceeded():
            fault = "capacity" if own_deadline and error.fault == "caller" else error.fault
            return Ending("deadline_exceeded", "deadline_exceeded", fault, _LATE[fault])
        case Overloaded():
            return NO_ROOM
        case RequestRefused():
            return Ending("invalid_request", "context_length_exceeded", "caller", str(error))
        case AdapterRefused():
            return Ending("engine_error", "model_unavailable", "version", str(error))
        case GenerationFailed():
            return Ending("engine_error", "model_unavailable", "version", str(error))
        case EngineError():
            return Ending("engine_error", "engine_unavailable", "capacity", str(error))
        case _:
            detail = f"serving failed ({type(error).__name__})"
            return Ending("engine_error", "engine_unavailable", "capacity", detail)


_LATE: dict[Fault, str] = {
    "caller": "the deadline passed before the answer was generated: give it more time, or ask when "
    "there is less to do",
    "capacity": "the deadline passed while there was no engine or too much to do",
    "guard": "the deadline passed while guardrails gave no verdict",
    "version": "the deadline passed while the model version failed again and again",
}

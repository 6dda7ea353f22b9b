"""Events of one inference, from the product's request to its one outcome."""

from typing import ClassVar, Literal

from pydantic import Field

from headrace_events import topics
from headrace_events.envelope import EventData
from headrace_events.references import Reference
from headrace_events.text import CarriedId, Text

Arm = Literal["base", "production", "canary"]
Priority = Literal["normal", "high"]
Fault = Literal["caller", "guard", "capacity", "version"]
"""Whose doing it is that a request was not answered: who asked, guardrails that gave no verdict,
too little room or an engine that is away, or the model version that should have answered."""


class Message(Reference):
    """One turn of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: str


class Usage(Reference):
    """Tokens of one request."""

    input_tokens: int
    output_tokens: int


class InferenceRequested(EventData):
    """A product service asks a workload; `key` keeps one user on one side of a canary."""

    TYPE: ClassVar[str] = "inference.requested.v1"
    TOPIC: ClassVar[str] = topics.INFERENCE_REQUESTS
    FAST_TOPIC: ClassVar[str | None] = topics.INFERENCE_REQUESTS_PRIORITY

    request_id: CarriedId
    messages: tuple[Message, ...] = Field(min_length=1)
    max_tokens: int | None = Field(None, ge=1)
    temperature: float = Field(0.0, ge=0.0, le=2.0)
    stream: bool = False
    key: str | None = None
    priority: Priority = "normal"
    """`high` travels on topics of its own and is not behind a backlog of the others."""
    version: str | None = None
    """The model version that shall answer, `base` for the base itself; none: the route decides."""

    @property
    def pinned(self) -> bool:
        """Whether who asks chose the version."""
        return self.version is not None


class InferenceCancelRequested(EventData):
    """Nobody waits for a request any more: what is not answered yet need not be."""

    TYPE: ClassVar[str] = "inference.cancel_requested.v1"
    TOPIC: ClassVar[str] = topics.INFERENCE_CANCELLATIONS

    request_id: str
    reason: Literal["caller", "timeout"] = "caller"


class InferenceAdmitted(EventData):
    """The input checks let the request through, with what they redacted."""

    TYPE: ClassVar[str] = "inference.admitted.v1"
    TOPIC: ClassVar[str] = topics.INFERENCE_ADMITTED
    FAST_TOPIC: ClassVar[str | None] = topics.INFERENCE_ADMITTED_PRIORITY

    request: InferenceRequested
    received_at: float
    """Unix seconds at which the request was published (its event's time)."""
    redactions: dict[str, int] = Field(default_factory=dict)

    @property
    def priority(self) -> Priority:
        """The request's lane."""
        return self.request.priority


class InferenceGenerated(EventData):
    """The model answered; the output checks come next."""

    TYPE: ClassVar[str] = "inference.generated.v1"
    TOPIC: ClassVar[str] = topics.INFERENCE_GENERATED
    FAST_TOPIC: ClassVar[str | None] = topics.INFERENCE_GENERATED_PRIORITY

    request: InferenceRequested
    text: str
    model: str
    model_version: str
    arm: Arm
    finish_reason: Literal["stop", "length"]
    usage: Usage
    received_at: float
    generation_ms: float

    @property
    def priority(self) -> Priority:
        """The request's lane."""
        return self.request.priority


class InferencePartGenerated(EventData):
    """A piece of a streamed answer, before the output checks."""

    TYPE: ClassVar[str] = "inference.part_generated.v1"
    TOPIC: ClassVar[str] = topics.INFERENCE_GENERATED
    FAST_TOPIC: ClassVar[str | None] = topics.INFERENCE_GENERATED_PRIORITY

    request_id: str
    index: int
    text: str
    priority: Priority = "normal"
    """The request's lane: parts and their end must stay on one partition."""


class InferencePartCompleted(EventData):
    """A checked piece of a streamed answer."""

    TYPE: ClassVar[str] = "inference.part_completed.v1"
    TOPIC: ClassVar[str] = topics.INFERENCE_PARTS

    request_id: str
    index: int
    text: str


class InferenceCompleted(EventData):
    """The answer: what the product reads and what is captured."""

    TYPE: ClassVar[str] = "inference.completed.v1"
    TOPIC: ClassVar[str] = topics.INFERENCE_COMPLETED

    request_id: str
    messages: tuple[Message, ...]
    text: str
    model: str
    model_version: str
    arm: Arm
    finish_reason: Literal["stop", "length", "content_filter"]
    usage: Usage
    latency_ms: float
    trace_id: str | None = None
    via: Literal["kafka", "http"] = "kafka"
    pinned: bool = False
    """Who asked chose the version: no evidence of a canary, no traffic of the version. `arm` is
    then where the version stands; `production` too for one that stands nowhere any more."""


class InferenceRejected(EventData):
    """The request's other possible outcome; `detail` never quotes the text."""

    TYPE: ClassVar[str] = "inference.rejected.v1"
    TOPIC: ClassVar[str] = topics.INFERENCE_COMPLETED

    request_id: str
    reason: Literal[
        "guardrail",
        "deadline_exceeded",
        "cancelled",
        "unknown_workload",
        "overloaded",
        "engine_error",
        "invalid_request",
        "guard_unavailable",
    ]
    detail: str
    stage: Literal["input", "output", "serving"]
    fault: Fault | None = None
    """Read it with `fault_of`: it is told only where the reason alone does not say it."""
    model_version: str | None = None
    arm: Arm | None = None
    trace_id: str | None = None
    via: Literal["kafka", "http"] = "kafka"
    pinned: bool = False
    """As of `InferenceCompleted`."""


_FAULTS: dict[str, Fault] = {
    "guardrail": "caller",
    "deadline_exceeded": "caller",
    "cancelled": "caller",
    "unknown_workload": "caller",
    "invalid_request": "caller",
    "overloaded": "capacity",
    "guard_unavailable": "guard",
    "engine_error": "version",
}


def fault_of(rejected: InferenceRejected) -> Fault:
    """Whose fault an outcome without an answer is; only `version` counts against a model version.

    The one place where this is decided: what serves says it in `fault` where the reason leaves it
    open (an engine that is away is nobody's version's fault), what counts asks here.
    """
    if rejected.fault is not None:
        return rejected.fault
    # What the caller sent is his; what the version wrote is its own.
    if rejected.reason == "guardrail" and rejected.stage == "output":
        return "version"
    return _FAULTS[rejected.reason]


class FeedbackGiven(EventData):
    """A product service says how good an answer was, or what it should have been."""

    TYPE: ClassVar[str] = "feedback.given.v1"
    TOPIC: ClassVar[str] = topics.FEEDBACK

    request_id: CarriedId
    rating: Literal[-1, 0, 1]
    correction: Text | None = None


class GuardrailTripped(EventData):
    """A check blocked or changed a text."""

    TYPE: ClassVar[str] = "guardrail.tripped.v1"
    TOPIC: ClassVar[str] = topics.GUARDRAILS

    request_id: str
    stage: Literal["input", "output"]
    check: str
    action: Literal["block", "redact"]
    labels: tuple[str, ...] = ()

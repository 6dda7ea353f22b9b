"""What becomes of a request and of an answer: the facts, as event payloads."""

import time
from dataclasses import dataclass

from headrace_events import EventData
from headrace_events.inference import (
    GuardrailTripped,
    InferenceAdmitted,
    InferenceCompleted,
    InferenceGenerated,
    InferenceRejected,
    InferenceRequested,
)
from headrace_guardrails.core.guard import (
    BrokenOff,
    Checking,
    JudgedMessages,
    Judgement,
    judge,
    judge_messages,
    nobody,
)
from headrace_guardrails.core.policy import Policy, Stage

_SKEW_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What the event around a payload says: when it was sent, until when, in which trace."""

    received_at: float
    deadline: float | None
    trace_id: str | None

    def late(self) -> str | None:
        """Why nobody waits for the answer any more, or None.

        By the clock of this machine, without an allowance: clocks are kept together by NTP. A
        difference that explains the lateness is named, for no other sign of it is as plain.
        """
        now = time.time()
        if self.deadline is None or now <= self.deadline:
            return None
        if now - self.received_at < _SKEW_SECONDS:
            return f"the deadline had passed {now - self.deadline:.1f} s ago"
        return (
            f"the deadline passed {now - self.deadline:.1f} s ago; the request was sent "
            f"{now - self.received_at:.1f} s ago by the sender's clock: a backlog, or clocks apart"
        )


def admit(
    request: InferenceRequested,
    policy: Policy | None,
    around: Circumstances,
    broken_off: BrokenOff = nobody,
) -> list[EventData]:
    """Let a request through (redacted where the policy says so) or reject it."""
    if late := around.late():
        return [_rejected(request, around, "deadline_exceeded", late, "input")]
    if policy is None:
        return [
            _rejected(
                request,
                around,
                "unknown_workload",
                "no such workload: apply its manifest with `headrace apply`",
                "input",
            )
        ]
    judged = judge_messages(request.messages, policy, broken_off)
    facts: list[EventData] = tripped(request.request_id, "input", judged)
    if judged.blocked:
        detail = f"check {judged.blocked.check}: {', '.join(judged.blocked.labels)}"
        return [*facts, _rejected(request, around, "guardrail", detail, "input")]
    admitted = request
    if judged.messages != request.messages:
        admitted = request.model_copy(update={"messages": judged.messages})
    facts.append(
        InferenceAdmitted(
            request=admitted, received_at=around.received_at, redactions=judged.redactions
        )
    )
    return facts


def complete(
    answer: InferenceGenerated,
    policy: Policy,
    around: Circumstances,
    broken_off: BrokenOff = nobody,
) -> list[EventData]:
    """Give an answer out (redacted where the policy says so) or reject it."""
    judged = judge(answer.text, policy, "output", Checking(policy, broken_off))
    request = answer.request
    facts: list[EventData] = tripped(request.request_id, "output", judged)
    if judged.blocked:
        detail = f"check {judged.blocked.check}: {', '.join(judged.blocked.labels)}"
        rejected = _rejected(request, around, "guardrail", detail, "output")
        version = {"model_version": answer.model_version, "arm": answer.arm}
        return [*facts, rejected.model_copy(update=version)]
    facts.append(
        InferenceCompleted(
            request_id=request.request_id,
            messages=request.messages,
            text=judged.text,
            model=answer.model,
            model_version=answer.model_version,
            arm=answer.arm,
            finish_reason=answer.finish_reason,
            usage=answer.usage,
            latency_ms=max(0.0, (time.time() - answer.received_at) * 1000),
            trace_id=around.trace_id,
            pinned=request.pinned,
        )
    )
    return facts


def tripped(request_id: str, stage: Stage, judged: Judgement | JudgedMessages) -> list[EventData]:
    """One fact for each check that did something."""
    return [
        GuardrailTripped(
            request_id=request_id,
            stage=stage,
            check=verdict.check,
            action=verdict.action,
            labels=verdict.labels,
        )
        for verdict in judged.tripped
        if verdict.action != "pass"
    ]


def _rejected(
    request: InferenceRequested,
    around: Circumstances,
    reason: str,
    detail: str,
    stage: Stage,
) -> InferenceRejected:
    return InferenceRejected.model_validate(
        {
            "request_id": request.request_id,
            "reason": reason,
            "detail": detail,
            "stage": stage,
            "trace_id": around.trace_id,
            "pinned": request.pinned,
        }
    )

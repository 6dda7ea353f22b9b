"""Examples of the events around requests: inference, feedback, roll-outs, monitoring."""

from datetime import UTC, datetime

from headrace_events import inference, monitoring, rollout
from headrace_events.envelope import EventData
from headrace_events.examples import things


def examples() -> tuple[EventData, ...]:
    """Return one example of each."""
    return (*_inference(), *_outcomes(), *_rollout(), *_monitoring())


def _inference() -> tuple[EventData, ...]:
    request = things.request()
    return (
        request,
        inference.InferenceCancelRequested(request_id=things.REQUEST_ID, reason="timeout"),
        inference.InferenceAdmitted(
            request=request, received_at=1_763_950_000.25, redactions={"email": 1}
        ),
        inference.InferenceGenerated(
            request=request,
            text="card_arrival",
            model=things.WORKLOAD,
            model_version="2",
            arm="canary",
            finish_reason="stop",
            usage=inference.Usage(input_tokens=31, output_tokens=4),
            received_at=1_763_950_000.25,
            generation_ms=148.9,
        ),
        inference.InferencePartGenerated(request_id=things.REQUEST_ID, index=0, text="card_"),
        inference.InferencePartCompleted(request_id=things.REQUEST_ID, index=0, text="card_"),
    )


def _outcomes() -> tuple[EventData, ...]:
    return (
        inference.InferenceCompleted(
            request_id=things.REQUEST_ID,
            messages=things.request().messages,
            text="card_arrival",
            model=things.WORKLOAD,
            model_version="2",
            arm="canary",
            finish_reason="stop",
            usage=inference.Usage(input_tokens=31, output_tokens=4),
            latency_ms=171.3,
            trace_id=things.TRACE_ID,
        ),
        inference.InferenceRejected(
            request_id=things.REQUEST_ID,
            reason="guardrail",
            detail="injection: instruction override",
            stage="input",
            trace_id=things.TRACE_ID,
        ),
        inference.FeedbackGiven(
            request_id=things.REQUEST_ID, rating=-1, correction="card_delivery_estimate"
        ),
        inference.GuardrailTripped(
            request_id=things.REQUEST_ID,
            stage="input",
            check="pii",
            action="redact",
            labels=("email",),
        ),
    )


def _rollout() -> tuple[EventData, ...]:
    new, old = things.model("2"), things.model("1")
    return (
        rollout.RolloutStarted(
            rollout_id=things.ROLLOUT_ID,
            candidate=new,
            incumbent=old,
            step=0,
            weight=5,
            steps=(5, 25),
        ),
        rollout.RolloutStepped(rollout_id=things.ROLLOUT_ID, candidate=new, step=1, weight=25),
        rollout.RolloutFinished(
            rollout_id=things.ROLLOUT_ID,
            candidate=new,
            incumbent=old,
            outcome="succeeded",
            reason="all steps advanced",
        ),
        rollout.RollbackRequested(
            reason="wrong answers about card fees since 14:05", to="1", operator="anna@desk"
        ),
        rollout.PromotionRequested(
            version="2", reason="the fees were fixed in the product", operator="anna@desk"
        ),
        rollout.RetirementRequested(
            version="1", reason="trained on rows that had to be deleted", operator="anna@desk"
        ),
        rollout.CanaryJudged(
            rollout_id=things.ROLLOUT_ID,
            step=0,
            verdict="advance",
            reason="214 requests; errors and p95 within the limits",
            candidate=things.arm("2", errors=1, p95_ms=402.7, rating_mean=0.71),
            incumbent=things.arm("1", errors=2, p95_ms=388.1, rating_mean=0.64),
        ),
    )


def _monitoring() -> tuple[EventData, ...]:
    return (
        monitoring.DriftDetected(
            statistic="psi", value=0.31, threshold=0.25, reference_rows=500, window_rows=500
        ),
        monitoring.SloBreached(objective="p95_ms", value=2431.0, target=2000.0, model_version="2"),
        monitoring.AlertRaised(
            name="slo/support-intents/p95_ms",
            severity="warning",
            summary="p95 2431 ms is above 2000 ms for version 2",
        ),
        monitoring.AlertResolved(name="slo/support-intents/p95_ms"),
        monitoring.AlertAcknowledged(
            name="slo/support-intents/p95_ms",
            reason="the engine is being moved to a larger machine",
        ),
        monitoring.AlertSilenced(
            name="drift/input",
            until=datetime(2026, 11, 26, 18, tzinfo=UTC),
            reason="the autumn campaign brings other questions",
        ),
        monitoring.ServiceStarted(
            service="trainer", instance="trainer-0", declared=True, version="0.2.0"
        ),
        monitoring.DeadLetterWritten(
            service="ingest",
            partition=0,
            offset=17,
            topic="headrace.feedback",
            error="InvalidEvent",
        ),
        monitoring.DeadLetterReplayed(
            replay_id="019adf2e-7c4a-7d1e-8a51-52f1a0c3b9d4",
            service="ingest",
            partition=0,
            offset=17,
            topic="headrace.feedback",
            error="InvalidEvent",
            event_id="019adf2e-1b2c-7a3d-9e4f-5a6b7c8d9e0f",
            event_type="feedback.given.v1",
            operator="anna@desk-7",
            reason="the producer was corrected",
        ),
    )

"""Captured traffic and feedback on it."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime

from headrace_events.inference import FeedbackGiven, InferenceCompleted, InferenceRejected, Message
from headrace_events.text import MAX_ID_CHARS
from headrace_ingest.core.records import RawRecord, Row, digest

COMPLETED = "completed"
# The form of headrace_events.workload.WorkloadName; the name becomes a folder.
_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


@dataclass(frozen=True, slots=True)
class Interaction:
    """One request and its outcome: a row of traffic/<workload>."""

    request_id: str
    trace_id: str | None
    prompt: str | None
    completion: str | None
    model: str | None
    model_version: str | None
    arm: str | None
    latency_ms: float | None
    created_at: datetime
    outcome: str
    """`completed`, or the reason of the rejection."""


FIELDS = tuple(field.name for field in fields(Interaction))
"""The names of an interaction's fields, in their order."""


@dataclass(frozen=True, slots=True)
class JudgedInteraction:
    """An interaction with what was said about it."""

    request_id: str
    prompt: str
    completion: str
    rating: int | None
    correction: str | None


def is_capturable(workload: str, request_id: str) -> bool:
    """Say whether traffic under these names can be kept: a request may name any, even `../x`."""
    return _NAME.fullmatch(workload) is not None and 0 < len(request_id) <= MAX_ID_CHARS


def interaction(
    outcome: InferenceCompleted | InferenceRejected, created_at: datetime
) -> Interaction:
    """Return what is captured of an outcome."""
    if isinstance(outcome, InferenceRejected):
        return Interaction(
            request_id=outcome.request_id,
            trace_id=outcome.trace_id,
            prompt=None,
            completion=None,
            model=None,
            model_version=outcome.model_version,
            arm=outcome.arm,
            latency_ms=None,
            created_at=created_at,
            outcome=outcome.reason,
        )
    return Interaction(
        request_id=outcome.request_id,
        trace_id=outcome.trace_id,
        prompt=last_user_message(outcome.messages),
        completion=outcome.text,
        model=outcome.model,
        model_version=outcome.model_version,
        arm=outcome.arm,
        latency_ms=outcome.latency_ms,
        created_at=created_at,
        # An answer that the filter cut is no example to learn from.
        outcome="content_filter" if outcome.finish_reason == "content_filter" else COMPLETED,
    )


def last_user_message(messages: Iterable[Message]) -> str | None:
    """Return what the user asked last."""
    return next((m.content for m in reversed(list(messages)) if m.role == "user"), None)


def is_usable(feedback: FeedbackGiven) -> bool:
    """Say whether the feedback makes a training row: a correction, or an answer that was liked."""
    return bool(feedback.correction and feedback.correction.strip()) or feedback.rating > 0


def training_row(judged: JudgedInteraction) -> tuple[Row, str] | None:
    """Return the row and its kind (`correction` or `liked`), or None if it teaches nothing."""
    if judged.correction and judged.correction.strip():
        return Row(judged.prompt, judged.correction), "correction"
    if judged.rating is not None and judged.rating > 0 and judged.completion.strip():
        return Row(judged.prompt, judged.completion), "liked"
    return None


def traffic_records(judged: Sequence[JudgedInteraction], batch_id: str) -> list[RawRecord]:
    """Return the raw records of judged traffic; those that teach nothing any more are left out."""
    now = datetime.now(UTC)
    records = []
    for one in judged:
        found = training_row(one)
        if found is None or not one.prompt.strip():
            continue
        row, kind = found
        records.append(
            RawRecord(
                record_id=digest(batch_id, one.request_id),
                batch_id=batch_id,
                source="traffic",
                prompt=row.prompt,
                completion=row.completion,
                landed_at=now,
                origin={"request_id": one.request_id, "kind": kind},
            )
        )
    return records

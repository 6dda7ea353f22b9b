"""One request's outcome, as the monitor counts it: facts and figures, never text.

A pinned request has none. Who names a version (to try it, to compare two) chose it: that is no
random sample, so no evidence of a canary, and no traffic that an objective or a drift is about.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from headrace_events.inference import InferenceCompleted, InferenceRejected, fault_of

Kind = Literal["ok", "blocked", "error", "unavailable"]
"""`error` is the model version's own failure. `unavailable` is a request that was not answered for
want of room, engine or guard: the workload's failure, and no version's."""

UNROUTED = "unrouted"
"""Version of a request that ended before serving chose one."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one request; `latency_ms` is None where nothing was generated."""

    request_id: str
    workload: str
    version: str
    arm: str
    kind: Kind
    latency_ms: float | None
    at: datetime
    sketch: bytes = b""
    """Hashed token buckets of the prompt (see `drift.sketch`)."""


def of_completed(
    data: InferenceCompleted, workload: str, at: datetime, sketch: bytes
) -> Outcome | None:
    """Return the outcome of a completed request; a filtered answer counts as blocked."""
    if data.pinned:
        return None
    return Outcome(
        request_id=data.request_id,
        workload=workload,
        version=data.model_version,
        arm=data.arm,
        kind="blocked" if data.finish_reason == "content_filter" else "ok",
        latency_ms=data.latency_ms,
        at=at,
        sketch=sketch,
    )


def of_rejected(data: InferenceRejected, workload: str, at: datetime) -> Outcome | None:
    """Return the outcome of a rejected request, or None if no service is to blame for it."""
    if data.pinned:
        return None
    fault = fault_of(data)
    kind: Kind = "error" if fault == "version" else "unavailable"
    if data.reason == "guardrail":
        kind = "blocked"
    elif fault == "caller":
        return None
    return Outcome(
        request_id=data.request_id,
        workload=workload,
        version=data.model_version or UNROUTED,
        arm=data.arm or UNROUTED,
        kind=kind,
        latency_ms=None,
        at=at,
    )

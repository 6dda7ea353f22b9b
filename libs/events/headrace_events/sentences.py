"""One sentence about an event: what the console's feed, the audit chain and `events tail` say.

Figures and reasons only, never the text of users.
"""

import math
from collections.abc import Callable
from typing import Any

from headrace_events import (
    data,
    evaluation,
    inference,
    jobs,
    models,
    monitoring,
    rollout,
    training,
    workload,
)
from headrace_events.envelope import EventData
from headrace_events.text import shortened

_LONGEST_REASON = 300


def summary(payload: EventData) -> str:
    """Return one line about an event; nothing for a type that has no sentence."""
    write = _SUMMARIES.get(type(payload))
    return write(payload) if write else ""


def _cut(reason: str) -> str:
    return shortened(reason, _LONGEST_REASON)


def _who(e: Any) -> str:
    return f"{e.operator} asks" if e.operator else "somebody asks"


def _version(version: str) -> str:
    return "the base" if version == "base" else f"version {version}"


def _left(seconds: float | None) -> str:
    return "" if seconds is None else f" eta {duration(seconds)}"


def duration(seconds: float) -> str:
    """Return a time's length as people say it: `40 s`, `5 min`, `2.5 h`."""
    if seconds < 59.5:
        return f"{max(seconds, 0):.0f} s"
    if seconds < 5970:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def figure(value: float, *, sign: bool = False) -> str:
    """Return a number as people read it: some three digits that tell, no powers of ten."""
    size = abs(value)
    if not math.isfinite(value) or size == 0:
        digits = 0
    elif size >= 1:
        digits = max(0, 2 - int(math.log10(size)))
    else:
        digits = min(9, 2 - math.floor(math.log10(size)))
    text = f"{value:{'+' if sign else ''}.{digits}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def _slo_breached(e: monitoring.SloBreached) -> str:
    if e.objective == "p95_ms":
        return (
            f"version {e.model_version}: p95 latency {e.value:.0f} ms, objective {e.target:.0f} ms"
        )
    return f"version {e.model_version}: {e.value:.1%} errors, objective {e.target:.1%}"


def _evaluated(e: evaluation.EvaluationCompleted) -> str:
    scores = ", ".join(
        f"{m.metric} {figure(m.candidate)} ({figure(m.difference, sign=True)})" for m in e.metrics
    )
    return f"version {e.model.version} against {e.incumbent.version}: {scores}"


def _curated(e: data.DatasetCurated) -> str:
    dropped = sum(e.rejects.values())
    d = e.dataset
    return f"version {d.version}: {d.train_rows} train, {d.holdout_rows} holdout, {dropped} dropped"


_SUMMARIES: dict[type[EventData], Callable[[Any], str]] = {
    workload.WorkloadApplied: lambda e: f"revision {e.revision} of {e.manifest.metadata.owner}",
    data.RecordsLanded: lambda e: f"{e.rows} rows from {e.source}",
    data.RecordsRejected: lambda e: f"{e.source}: {_cut(e.reason)}",
    data.DatasetCurated: _curated,
    data.DatasetRejected: lambda e: _cut(e.reason),
    data.FileUploaded: lambda e: f"{e.filename}, {e.size} bytes",
    data.FileDeleted: lambda e: e.file_id,
    training.TrainingRequested: lambda e: _cut(e.reason),
    training.TrainingCancelRequested: lambda e: f"job {e.job_id}",
    training.TrainingStarted: lambda e: (
        f"dataset {e.dataset.version}, {e.steps} steps"
        + (f", resumed at {e.resumed_at_step}" if e.resumed_at_step else "")
    ),
    training.TrainingProgressed: lambda e: (
        f"step {e.step}/{e.steps} loss {figure(e.loss)}" + _left(e.seconds_left)
    ),
    training.TrainingCompleted: lambda e: f"{e.steps} steps in {e.seconds:.0f} s",
    training.TrainingFailed: lambda e: ("cancelled: " if e.cancelled else "") + _cut(e.reason),
    models.ModelRegistered: lambda e: f"version {e.model.version} from dataset {e.dataset.version}",
    models.ModelApproved: lambda e: f"version {e.model.version}: the gate opened",
    models.ModelRejected: lambda e: f"version {e.model.version}: {_cut(e.reason)}",
    models.ModelPromoted: lambda e: (
        f"version {e.model.version} takes over from {e.previous.version}"
        + (f": {_cut(e.reason)}" if e.reason else "")
    ),
    models.ModelRolledBack: lambda e: (
        f"version {e.model.version} back to {e.restored.version}: {_cut(e.reason)}"
    ),
    models.ModelRetired: lambda e: f"version {e.model.version}: {_cut(e.reason)}",
    evaluation.EvaluationCompleted: _evaluated,
    evaluation.EvaluationFailed: lambda e: f"version {e.model.version}: {_cut(e.reason)}",
    rollout.RolloutStarted: lambda e: f"version {e.candidate.version} takes {e.weight} %",
    rollout.RolloutStepped: lambda e: f"version {e.candidate.version} takes {e.weight} %",
    rollout.RolloutFinished: lambda e: (
        f"version {e.candidate.version} {e.outcome}: {_cut(e.reason)}"
    ),
    rollout.RollbackRequested: lambda e: (
        f"{_who(e)} to roll back{f' to {_version(e.to)}' if e.to else ''}: {_cut(e.reason)}"
    ),
    rollout.PromotionRequested: lambda e: (
        f"{_who(e)} to promote {_version(e.version)}: {_cut(e.reason)}"
    ),
    rollout.RetirementRequested: lambda e: (
        f"{_who(e)} to retire {_version(e.version)}: {_cut(e.reason)}"
    ),
    rollout.CanaryJudged: lambda e: f"step {e.step + 1}: {e.verdict}, {_cut(e.reason)}",
    monitoring.DriftDetected: lambda e: (
        f"input moved: PSI {e.value:.2f} above {e.threshold:.2f} in {e.window_rows} requests"
    ),
    monitoring.SloBreached: _slo_breached,
    monitoring.AlertRaised: lambda e: f"{e.severity}: {_cut(e.summary)}",
    monitoring.AlertResolved: lambda e: e.name + (f": {_cut(e.reason)}" if e.reason else ""),
    monitoring.AlertAcknowledged: lambda e: f"{e.name}: {_cut(e.reason)}",
    monitoring.AlertSilenced: lambda e: (
        f"{e.name} until {e.until:%Y-%m-%d %H:%M} UTC: {_cut(e.reason)}"
    ),
    monitoring.ServiceStarted: lambda e: f"{e.instance}, release {e.version}",
    monitoring.DeadLetterWritten: lambda e: (
        f"{e.service} set a record of {e.topic} aside: {e.error}"
    ),
    monitoring.DeadLetterReplayed: lambda e: (
        f"{e.operator} sent {e.event_type or 'a record'} of {e.service} back to {e.topic}"
    ),
    inference.InferenceCompleted: lambda e: (
        f"version {e.model_version} ({e.arm}): {e.usage.output_tokens} tokens "
        f"in {e.latency_ms:,.0f} ms"
    ),
    inference.InferenceRejected: lambda e: f"{e.reason} at {e.stage}",
    inference.FeedbackGiven: lambda e: (
        f"rating {e.rating:+d}" + (", with a correction" if e.correction else "")
    ),
    inference.GuardrailTripped: lambda e: f"{e.check}: {e.action} at {e.stage}",
    jobs.JobQueued: lambda e: f"{e.kind} {e.key}",
    jobs.JobFinished: lambda e: f"{e.kind} {e.key}: {e.state} at attempt {e.attempt}",
}

"""From a control event to what is kept of it: one line of summary and its facts."""

from collections.abc import Callable
from typing import Any

from headrace_events import (
    Event,
    EventData,
    data,
    evaluation,
    models,
    monitoring,
    rollout,
    training,
    workload,
)
from headrace_monitor.core.audit import Entry

_LONGEST_REASON = 300


def entry(event: Event[Any], trace_id: str | None) -> Entry:
    """Return the audit entry of a control event."""
    return Entry(
        event_id=event.id,
        type=event.type,
        source=event.source.removeprefix("/headrace/"),
        workload=event.workload,
        subject=event.subject,
        time=event.time,
        causation_id=event.causationid,
        trace_id=trace_id,
        summary=summary(event.data),
        facts=facts(event.data),
    )


def facts(payload: EventData) -> dict[str, Any]:
    """Return the payload as JSON; a manifest's system message is the team's text and left out."""
    found: dict[str, Any] = payload.model_dump(mode="json")
    if isinstance(payload, workload.WorkloadApplied):
        found["manifest"]["spec"].pop("system", None)
    return found


def summary(payload: EventData) -> str:
    """Return one line about a control event, without text of users."""
    write = _SUMMARIES.get(type(payload))
    return write(payload) if write else ""


def _cut(reason: str) -> str:
    return reason if len(reason) <= _LONGEST_REASON else reason[: _LONGEST_REASON - 1] + "…"


def _evaluated(e: evaluation.EvaluationCompleted) -> str:
    scores = ", ".join(f"{m.metric} {m.candidate:.3g} ({m.difference:+.3g})" for m in e.metrics)
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
    training.TrainingProgressed: lambda e: f"step {e.step} of {e.steps}, loss {e.loss:.3f}",
    training.TrainingCompleted: lambda e: f"{e.steps} steps in {e.seconds:.0f} s",
    training.TrainingFailed: lambda e: ("cancelled: " if e.cancelled else "") + _cut(e.reason),
    models.ModelRegistered: lambda e: f"version {e.model.version} from dataset {e.dataset.version}",
    models.ModelApproved: lambda e: f"version {e.model.version}: the gate opened",
    models.ModelRejected: lambda e: f"version {e.model.version}: {_cut(e.reason)}",
    models.ModelPromoted: lambda e: (
        f"version {e.model.version} takes over from {e.previous.version}"
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
    rollout.RollbackRequested: lambda e: _cut(e.reason),
    rollout.CanaryJudged: lambda e: f"step {e.step + 1}: {e.verdict}, {_cut(e.reason)}",
    monitoring.DriftDetected: lambda e: (
        f"input moved: PSI {e.value:.2f} above {e.threshold:.2f} in {e.window_rows} requests"
    ),
    monitoring.SloBreached: lambda e: (
        f"version {e.model_version}: {e.objective} {e.value:.4g}, objective {e.target:.4g}"
    ),
    monitoring.AlertRaised: lambda e: f"{e.severity}: {_cut(e.summary)}",
    monitoring.AlertResolved: lambda e: e.name,
    monitoring.DeadLetterReplayed: lambda e: (
        f"{e.operator} sent {e.event_type or 'a record'} of {e.service} back to {e.topic}"
    ),
}

"""Folds control events, in the order of the audit chain, into the state of each loop.

Events of different topics may come in any order, so each event changes only what it speaks of.
"""

from collections import Counter
from collections.abc import Callable
from typing import Any

from pydantic import ValidationError

from headrace_events import data, evaluation, models, monitoring, rollout, training, workload
from headrace_events.catalogue import EVENT_TYPES
from headrace_monitor.core.audit import Entry
from headrace_monitor.core.loop import (
    Dataset,
    Decision,
    Mark,
    Model,
    Problem,
    Rollout,
    Stage,
    Training,
    Turn,
    WorkloadLoop,
)

FOLD_VERSION = 2
"""Raise it when an event is folded otherwise: snapshots of the fold before are not used then."""

_KEPT_LANDINGS = 20
_KEPT_VERSIONS = 20
_KEPT_LOSSES = 200
_KEPT_WAITING = 200
_KEPT_MARKS = 100
_KEPT_DECISIONS = 20
_KEPT_SOURCES = 100


class Loops:
    """The loops of all workloads."""

    def __init__(self) -> None:
        self.by_name: dict[str, WorkloadLoop] = {}
        self.revisions: Counter[str] = Counter()
        """Counts what was folded into each: until it changes, what is shown of a loop stays."""

    def add(self, entry: Entry) -> None:
        """Fold one event in; an event that this release cannot read changes nothing."""
        model = EVENT_TYPES.get(entry.type)
        fold = _FOLDS.get(model) if model else None
        if model is None or fold is None:
            return
        try:
            payload = model.model_validate(entry.facts)
        except ValidationError:
            return
        loop = self.by_name.setdefault(entry.workload, WorkloadLoop(entry.workload))
        self.revisions[entry.workload] += 1
        fold(loop, payload, entry)
        loop.trace_id = entry.trace_id or loop.trace_id
        if model in _DECISIONS:
            _decided(loop, entry)
        for kept in (loop.datasets, loop.models, loop.turns, loop.training_dataset):
            _forget_oldest(kept, _KEPT_VERSIONS)
        _forget_oldest(loop.waiting, _KEPT_WAITING)
        _forget_oldest(loop.source_problems, _KEPT_SOURCES)


def _forget_oldest(kept: dict[Any, Any], most: int) -> None:
    while len(kept) > most:
        del kept[next(iter(kept))]


def _decided(loop: WorkloadLoop, entry: Entry) -> None:
    kind = entry.type.rsplit(".v", 1)[0]
    loop.decisions.append(
        Decision(entry.time, kind, entry.summary, entry.event_id, entry.source, entry.trace_id)
    )
    loop.decisions.sort(key=lambda one: one.at)
    del loop.decisions[:-_KEPT_DECISIONS]


def _marked(loop: WorkloadLoop, turn: int | None, mark: Mark, *, waits_for: str = "") -> None:
    """Put a mark into its turn; without one it waits for the event that names the turn."""
    if turn is None:
        waiting = loop.waiting.setdefault(waits_for, [])
        waiting.append(mark)
        del waiting[:-_KEPT_MARKS]
        return
    marks = loop.turns.setdefault(turn, Turn(turn)).marks
    marks.append(mark)
    marks.sort(key=lambda one: one.at)
    del marks[:-_KEPT_MARKS]


def _arrived(loop: WorkloadLoop, waited_for: str, turn: int) -> None:
    for mark in loop.waiting.pop(waited_for, []):
        _marked(loop, turn, mark)


def _mark(loop: WorkloadLoop, dataset: int, stage: Stage, entry: Entry, good: bool = True) -> None:
    _marked(loop, dataset, Mark(stage, entry.time, entry.event_id, entry.summary, good))


def _mark_model(
    loop: WorkloadLoop, version: str, stage: Stage, entry: Entry, good: bool = True
) -> None:
    model = loop.models.get(version)
    mark = Mark(stage, entry.time, entry.event_id, entry.summary, good)
    _marked(loop, model.dataset if model else None, mark, waits_for=f"model {version}")


def _applied(loop: WorkloadLoop, e: workload.WorkloadApplied, entry: Entry) -> None:
    if loop.applied_at and entry.time < loop.applied_at:
        return  # an older manifest that was replayed late
    if e.revision != loop.revision:
        # Each source is read anew; the same manifest again reads none that did not change.
        loop.source_problems = {
            name: one for name, one in loop.source_problems.items() if one.at > entry.time
        }
    loop.owner = e.manifest.metadata.owner
    loop.base = e.manifest.spec.base
    loop.revision = e.revision
    loop.applied_at = entry.time


def _landed(loop: WorkloadLoop, e: data.RecordsLanded, entry: Entry) -> None:
    loop.rows_landed += e.rows
    loop.landings.append({"rows": e.rows, "source": e.source, "at": entry.time})
    del loop.landings[:-_KEPT_LANDINGS]
    loop.source_problems.pop(e.source, None)
    used = next((d.version for d in loop.datasets.values() if e.batch_id in d.batches), None)
    mark = Mark("landed", entry.time, entry.event_id, entry.summary)
    _marked(loop, used, mark, waits_for=f"batch {e.batch_id}")


def _source_rejected(loop: WorkloadLoop, e: data.RecordsRejected, entry: Entry) -> None:
    loop.source_problems[e.source] = Problem(entry.summary, entry.time)


def _curated(loop: WorkloadLoop, e: data.DatasetCurated, entry: Entry) -> None:
    found = e.dataset
    loop.datasets[found.version] = Dataset(
        version=found.version,
        train_rows=found.train_rows,
        holdout_rows=found.holdout_rows,
        rejects=dict(e.rejects),
        redactions=dict(e.redactions),
        batches=e.batches,
        sources=list(e.sources),
        trigger=e.trigger,
        at=entry.time,
    )
    if loop.dataset_problem_at is None or loop.dataset_problem_at <= entry.time:
        loop.dataset_problem = loop.dataset_problem_at = None
    _mark(loop, found.version, "curated", entry)
    for batch in e.batches:
        _arrived(loop, f"batch {batch}", found.version)


def _dataset_rejected(loop: WorkloadLoop, e: data.DatasetRejected, entry: Entry) -> None:
    loop.dataset_problem, loop.dataset_problem_at = entry.summary, entry.time
    loop.nothing_new = e.used_up


def _job(loop: WorkloadLoop, job_id: str) -> Training:
    if loop.training is None or loop.training.job_id != job_id:
        loop.training = Training(
            job_id, loop.training_dataset.get(job_id, 0), state="running", steps=0
        )
    return loop.training


def _training_started(loop: WorkloadLoop, e: training.TrainingStarted, entry: Entry) -> None:
    loop.training_dataset[e.job_id] = e.dataset.version
    job = _job(loop, e.job_id)
    job.dataset, job.steps = e.dataset.version, e.steps
    job.resumed_at_step = e.resumed_at_step
    job.started_at = job.started_at or entry.time
    _mark(loop, e.dataset.version, "training", entry)


def _training_progressed(loop: WorkloadLoop, e: training.TrainingProgressed, entry: Entry) -> None:
    job = _job(loop, e.job_id)
    job.step, job.steps = e.step, e.steps
    job.tokens_per_second = e.tokens_per_second
    # A run that went on from a checkpoint repeats some steps: the newer loss counts.
    job.losses = [(s, loss) for s, loss in job.losses if s < e.step][-_KEPT_LOSSES:]
    job.losses.append((e.step, e.loss))


def _training_completed(loop: WorkloadLoop, e: training.TrainingCompleted, entry: Entry) -> None:
    job = _job(loop, e.job_id)
    job.state, job.step, job.seconds = "completed", e.steps, e.seconds
    job.ended_at = entry.time
    job.dataset = e.dataset.version
    _mark(loop, e.dataset.version, "trained", entry)


def _training_failed(loop: WorkloadLoop, e: training.TrainingFailed, entry: Entry) -> None:
    job = _job(loop, e.job_id)
    job.state = "cancelled" if e.cancelled else "failed"
    job.reason, job.ended_at = entry.summary, entry.time
    if job.dataset:
        _mark(loop, job.dataset, "trained", entry, good=False)


def _model(loop: WorkloadLoop, version: str) -> Model:
    return loop.models.setdefault(version, Model(version))


def _decide(
    loop: WorkloadLoop, version: str, status: str, entry: Entry, reason: str | None
) -> None:
    model = _model(loop, version)
    if model.decided_at is None or entry.time >= model.decided_at:
        model.status, model.decided_at, model.reason = status, entry.time, reason


def _registered(loop: WorkloadLoop, e: models.ModelRegistered, entry: Entry) -> None:
    model = _model(loop, e.model.version)
    model.dataset, model.run_id = e.dataset.version, e.run_id
    model.incumbent, model.registered_at = e.incumbent.version, entry.time
    loop.turns.setdefault(e.dataset.version, Turn(e.dataset.version)).model = e.model.version
    _mark(loop, e.dataset.version, "registered", entry)
    _arrived(loop, f"model {e.model.version}", e.dataset.version)


def _evaluated(loop: WorkloadLoop, e: evaluation.EvaluationCompleted, entry: Entry) -> None:
    _model(loop, e.model.version).evaluation = {
        "evaluation_id": e.evaluation_id,
        "incumbent": e.incumbent.version,
        "metrics": [m.model_dump() for m in e.metrics],
        "gates": [g.model_dump() for g in e.gates],
        "passed": e.passed,
        "seconds": e.seconds,
    }
    _mark_model(loop, e.model.version, "evaluated", entry, e.passed)


def _evaluation_failed(loop: WorkloadLoop, e: evaluation.EvaluationFailed, entry: Entry) -> None:
    _mark_model(loop, e.model.version, "evaluated", entry, good=False)


def _approved(loop: WorkloadLoop, e: models.ModelApproved, entry: Entry) -> None:
    _decide(loop, e.model.version, "approved", entry, None)
    _mark_model(loop, e.model.version, "gate", entry)


def _rejected(loop: WorkloadLoop, e: models.ModelRejected, entry: Entry) -> None:
    _decide(loop, e.model.version, "rejected", entry, e.reason)
    tried = loop.rollout is not None and loop.rollout.candidate == e.model.version
    stage: Stage = "finished" if tried else "gate"
    _mark_model(loop, e.model.version, stage, entry, good=False)


def _promoted(loop: WorkloadLoop, e: models.ModelPromoted, entry: Entry) -> None:
    _decide(loop, e.model.version, "production", entry, e.reason)
    if e.previous.version in loop.models:
        _decide(loop, e.previous.version, "previous", entry, None)
    _answers(loop, e.model.version, entry)
    _mark_model(loop, e.model.version, "finished", entry)


def _answers(loop: WorkloadLoop, version: str, entry: Entry) -> None:
    loop.production, loop.production_since = version, entry.time


def _rolled_back(loop: WorkloadLoop, e: models.ModelRolledBack, entry: Entry) -> None:
    _decide(loop, e.model.version, "rolled back", entry, e.reason)
    if e.restored.version in loop.models:
        _decide(loop, e.restored.version, "production", entry, None)
    _answers(loop, e.restored.version, entry)


def _retired(loop: WorkloadLoop, e: models.ModelRetired, entry: Entry) -> None:
    _decide(loop, e.model.version, "retired", entry, e.reason)


def _rollout_started(loop: WorkloadLoop, e: rollout.RolloutStarted, entry: Entry) -> None:
    known = loop.rollout.judgements if _is(loop, e.rollout_id) and loop.rollout else []
    loop.rollout = Rollout(
        rollout_id=e.rollout_id,
        candidate=e.candidate.version,
        incumbent=e.incumbent.version,
        steps=list(e.steps),
        step=e.step,
        weight=e.weight,
        started_at=entry.time,
        stepped_at=entry.time,
        judgements=known,
    )
    _mark_model(loop, e.candidate.version, "canary", entry)


def _is(loop: WorkloadLoop, rollout_id: str) -> bool:
    return loop.rollout is not None and loop.rollout.rollout_id == rollout_id


def _stepped(loop: WorkloadLoop, e: rollout.RolloutStepped, entry: Entry) -> None:
    if _is(loop, e.rollout_id) and loop.rollout:
        loop.rollout.step, loop.rollout.weight = e.step, e.weight
        loop.rollout.stepped_at = entry.time
    _mark_model(loop, e.candidate.version, "canary", entry)


def _judged(loop: WorkloadLoop, e: rollout.CanaryJudged, entry: Entry) -> None:
    if _is(loop, e.rollout_id) and loop.rollout:
        loop.rollout.judgements.append(e.model_dump(mode="json") | {"at": entry.time})
        del loop.rollout.judgements[:-_KEPT_MARKS]
    _mark_model(loop, e.candidate.version, "judged", entry, e.verdict == "advance")


def _finished(loop: WorkloadLoop, e: rollout.RolloutFinished, entry: Entry) -> None:
    if _is(loop, e.rollout_id) and loop.rollout:
        loop.rollout.state, loop.rollout.reason = e.outcome, e.reason
        loop.rollout.finished_at = entry.time
        loop.rollout.weight = 100 if e.outcome == "succeeded" else 0


def _drifted(loop: WorkloadLoop, e: monitoring.DriftDetected, entry: Entry) -> None:
    loop.drift = e.model_dump(mode="json") | {"at": entry.time}


_FOLDS: dict[type[Any], Callable[[WorkloadLoop, Any, Entry], None]] = {
    workload.WorkloadApplied: _applied,
    data.RecordsLanded: _landed,
    data.RecordsRejected: _source_rejected,
    data.DatasetCurated: _curated,
    data.DatasetRejected: _dataset_rejected,
    training.TrainingStarted: _training_started,
    training.TrainingProgressed: _training_progressed,
    training.TrainingCompleted: _training_completed,
    training.TrainingFailed: _training_failed,
    models.ModelRegistered: _registered,
    models.ModelApproved: _approved,
    models.ModelRejected: _rejected,
    models.ModelPromoted: _promoted,
    models.ModelRolledBack: _rolled_back,
    models.ModelRetired: _retired,
    evaluation.EvaluationCompleted: _evaluated,
    evaluation.EvaluationFailed: _evaluation_failed,
    rollout.RolloutStarted: _rollout_started,
    rollout.RolloutStepped: _stepped,
    rollout.CanaryJudged: _judged,
    rollout.RolloutFinished: _finished,
    monitoring.DriftDetected: _drifted,
}

_DECISIONS = frozenset(
    {
        data.RecordsRejected,
        data.DatasetRejected,
        training.TrainingFailed,
        evaluation.EvaluationFailed,
        models.ModelApproved,
        models.ModelRejected,
        models.ModelPromoted,
        models.ModelRolledBack,
        models.ModelRetired,
        rollout.CanaryJudged,
        monitoring.DriftDetected,
    }
)

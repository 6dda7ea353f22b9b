"""Kafka handlers: every control event is audited, some change a watch."""

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
from headrace_events.inference import (
    FeedbackGiven,
    GuardrailTripped,
    InferenceCompleted,
    InferenceRejected,
)
from headrace_kit import Service, UnitOfWork
from headrace_kit.telemetry import trace_id_of
from headrace_monitor.adapters import alerts, audit, rollouts
from headrace_monitor.core.entries import entry
from headrace_monitor.watches import causes
from headrace_monitor.watches.inputs import DriftWatch
from headrace_monitor.watches.ledger import Ledger
from headrace_monitor.watches.traffic import Traffic

CONTROL_EVENTS: tuple[type[EventData], ...] = (
    workload.WorkloadApplied,
    data.RecordsLanded,
    data.RecordsRejected,
    data.DatasetCurated,
    data.DatasetRejected,
    data.FileUploaded,
    data.FileDeleted,
    training.TrainingRequested,
    training.TrainingCancelRequested,
    training.TrainingStarted,
    training.TrainingProgressed,
    training.TrainingCompleted,
    training.TrainingFailed,
    models.ModelRegistered,
    models.ModelApproved,
    models.ModelRejected,
    models.ModelPromoted,
    models.ModelRolledBack,
    models.ModelRetired,
    evaluation.EvaluationCompleted,
    evaluation.EvaluationFailed,
    rollout.RolloutStarted,
    rollout.RolloutStepped,
    rollout.RolloutFinished,
    rollout.RollbackRequested,
    rollout.PromotionRequested,
    rollout.RetirementRequested,
    rollout.CanaryJudged,
    monitoring.DriftDetected,
    monitoring.SloBreached,
    monitoring.AlertRaised,
    monitoring.AlertResolved,
    monitoring.AlertAcknowledged,
    monitoring.AlertSilenced,
    monitoring.DeadLetterWritten,
    monitoring.DeadLetterReplayed,
    monitoring.ServiceStarted,
)


def subscribe(service: Service, traffic: Traffic, ledger: Ledger, drift: DriftWatch) -> None:
    """Register all handlers."""

    async def audited(event: Event[Any], uow: UnitOfWork) -> None:
        audit.append(uow.session, entry(event, trace_id_of(event.traceparent)))
        ledger.wake()

    for model in CONTROL_EVENTS:
        service.on(model, audited)
    service.on(rollout.RolloutStarted, _rollout_started)
    service.on(rollout.RolloutStepped, _rollout_stepped)
    service.on(rollout.RolloutFinished, _rollout_finished)
    service.on(models.ModelPromoted, drift.answers_change)
    service.on(models.ModelRolledBack, drift.answers_change)
    service.replays(rollout.CanaryJudged, _replay_judged)
    service.on(monitoring.AlertRaised, _alert_raised)
    service.on(monitoring.AlertResolved, _alert_resolved)
    service.on(monitoring.AlertAcknowledged, _alert_acknowledged)
    service.on(monitoring.AlertSilenced, _alert_silenced)
    causes.subscribe(service)
    service.stream(
        "traffic",
        [InferenceCompleted, InferenceRejected],
        traffic.outcomes,
        max_records=500,
        keeps_state=True,
    )
    service.stream("feedback", [FeedbackGiven], traffic.feedback, max_records=500, keeps_state=True)
    service.stream(
        "guardrails", [GuardrailTripped], traffic.trips, max_records=200, keeps_state=True
    )


async def _rollout_started(event: Event[rollout.RolloutStarted], uow: UnitOfWork) -> None:
    await rollouts.open_rollout(uow.session, event)


async def _rollout_stepped(event: Event[rollout.RolloutStepped], uow: UnitOfWork) -> None:
    await rollouts.open_step(uow.session, event)


async def _rollout_finished(event: Event[rollout.RolloutFinished], uow: UnitOfWork) -> None:
    await rollouts.close(uow.session, event)


async def _replay_judged(event: Event[rollout.CanaryJudged], uow: UnitOfWork) -> None:
    await rollouts.mark_judged(uow.session, event.data.rollout_id, event.data.step)


async def _alert_raised(event: Event[monitoring.AlertRaised], uow: UnitOfWork) -> None:
    await alerts.put_raised(uow.session, event.workload, event.data, event.time)


async def _alert_resolved(event: Event[monitoring.AlertResolved], uow: UnitOfWork) -> None:
    await alerts.put_resolved(
        uow.session, event.workload, event.data.name, event.time, event.data.reason
    )


async def _alert_acknowledged(event: Event[monitoring.AlertAcknowledged], uow: UnitOfWork) -> None:
    await alerts.put_acknowledged(
        uow.session, event.workload, event.data.name, event.time, event.data.reason
    )


async def _alert_silenced(event: Event[monitoring.AlertSilenced], uow: UnitOfWork) -> None:
    fact = event.data
    await alerts.put_silenced(
        uow.session, event.workload, fact.name, event.time, fact.until, fact.reason
    )

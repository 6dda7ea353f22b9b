"""Kafka handlers: load the line, let the core decide, write down what it decided."""

from collections.abc import Awaitable, Callable
from typing import Any

import structlog

from headrace_events.data import DatasetCurated
from headrace_events.evaluation import EvaluationCompleted, EvaluationFailed
from headrace_events.rollout import RolloutFinished
from headrace_kit import Event, Service, UnitOfWork
from headrace_registry.adapters import versions
from headrace_registry.adapters.tables import CuratedRow
from headrace_registry.core import decisions, interventions
from headrace_registry.core.decisions import Decision
from headrace_registry.core.interventions import Asked
from headrace_registry.mirror import mirror_later

Handler = Callable[[Event[Any], UnitOfWork], Awaitable[None]]
_LOG = structlog.get_logger(__name__)


def on_evaluation_completed(service: Service) -> Handler:
    """Make the handler that opens the gate or keeps it shut."""

    async def handle(event: Event[EvaluationCompleted], uow: UnitOfWork) -> None:
        manifest = service.workloads.get(event.workload)
        gates = manifest.spec.evaluate.gates if manifest else None
        line = await versions.load(uow.session, event.workload)
        decision = decisions.on_evaluated(line, event.data, gates)
        await write(event, uow, event.data.model.version, decision)

    return handle


async def on_evaluation_failed(event: Event[EvaluationFailed], uow: UnitOfWork) -> None:
    """Reject: without scores the gate stays shut."""
    line = await versions.load(uow.session, event.workload)
    decision = decisions.on_evaluation_failed(line, event.data)
    await write(event, uow, event.data.model.version, decision)


async def on_rollout_finished(event: Event[RolloutFinished], uow: UnitOfWork) -> None:
    """Promote or reject the canary."""
    line = await versions.load(uow.session, event.workload)
    decision = decisions.on_rollout_finished(line, event.data)
    await write(event, uow, event.data.candidate.version, decision)


async def on_asked(event: Event[Asked], uow: UnitOfWork) -> None:
    """Do what a person asks for by an event, or note why not; `api_actions` is the other way in."""
    line = await versions.load(uow.session, event.workload)
    subject = interventions.subject_of(line, event.data)
    await write(event, uow, subject, interventions.decide(line, event.data, uow.at))


async def on_dataset_curated(event: Event[DatasetCurated], uow: UnitOfWork) -> None:
    """Remember where a dataset version's rows came from."""
    data = event.data
    await uow.session.merge(
        CuratedRow(
            workload=event.workload,
            digest=data.dataset.digest,
            sources=list(data.sources),
            batches=list(data.batches),
            rejects=data.rejects,
            redactions=data.redactions,
            event_id=event.id,
        )
    )


async def write(event: Event[Any], uow: UnitOfWork, version: str, decision: Decision) -> None:
    """Write down what an event decided: states, facts, the trail of each version."""
    note = note_of(event.data)
    versions.record(uow.session, event, version, refusal=decision.refusal, note=note)
    if decision.refusal:
        _LOG.warning(
            "event refused",
            type=event.type,
            event_id=event.id,
            workload=event.workload,
            reason=decision.refusal,
        )
        return
    await versions.save(uow.session, decision.changes, uow.at)
    for fact in decision.facts:
        subject: str = getattr(fact, "model").version  # noqa: B009 - every fact here has a model
        emitted = uow.emit(fact, subject=subject, discriminator=subject)
        versions.record(uow.session, emitted, subject, note=getattr(fact, "reason", None) or "")
        _LOG.info(fact.TYPE, workload=event.workload, version=subject)
    if decision.changes:
        await mirror_later(uow, event.workload, event.id)


def note_of(data: Any) -> str:
    """What the trail says of a request: who asked, and why."""
    if not isinstance(data, Asked):
        return ""
    return f"{data.operator}: {data.reason}" if data.operator else data.reason

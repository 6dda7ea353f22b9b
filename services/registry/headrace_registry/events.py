"""Kafka handlers: load the line, let the core decide, write down what it decided."""

from collections.abc import Awaitable, Callable
from typing import Any

import structlog

from headrace_events.data import DatasetCurated
from headrace_events.evaluation import EvaluationCompleted, EvaluationFailed
from headrace_events.rollout import RollbackRequested, RolloutFinished
from headrace_kit import Event, Service, UnitOfWork
from headrace_registry.adapters import versions
from headrace_registry.adapters.tables import CuratedRow
from headrace_registry.core import decisions
from headrace_registry.core.decisions import Decision
from headrace_registry.core.versions import BASE, Line
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
        await _write(event, uow, event.data.model.version, decision)

    return handle


async def on_evaluation_failed(event: Event[EvaluationFailed], uow: UnitOfWork) -> None:
    """Reject: without scores the gate stays shut."""
    line = await versions.load(uow.session, event.workload)
    decision = decisions.on_evaluation_failed(line, event.data)
    await _write(event, uow, event.data.model.version, decision)


async def on_rollout_finished(event: Event[RolloutFinished], uow: UnitOfWork) -> None:
    """Promote or reject the canary."""
    line = await versions.load(uow.session, event.workload)
    decision = decisions.on_rollout_finished(line, event.data)
    await _write(event, uow, event.data.candidate.version, decision)


async def on_rollback_requested(event: Event[RollbackRequested], uow: UnitOfWork) -> None:
    """Put back what was in production before."""
    line: Line = await versions.load(uow.session, event.workload)
    subject = line.production.version if line.production else BASE
    await _write(event, uow, subject, decisions.on_rollback(line, event.data))


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


async def _write(event: Event[Any], uow: UnitOfWork, version: str, decision: Decision) -> None:
    versions.record(uow.session, event, version, refusal=decision.refusal)
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
        versions.record(uow.session, emitted, subject, note=getattr(fact, "reason", ""))
        _LOG.info(fact.TYPE, workload=event.workload, version=subject)
    if decision.changes:
        await mirror_later(uow, event.workload, event.id)

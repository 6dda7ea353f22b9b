"""Kafka handlers and the job: write an order down, work it off."""

import asyncio
from typing import Any

import structlog

from headrace_evaluator.adapters import evaluations, row_table, score_cache
from headrace_evaluator.core.evaluate import (
    Scorer,
    ScoringFailed,
    ScoringRefused,
    evaluate,
    request_for,
)
from headrace_evaluator.core.order import Order
from headrace_evaluator.core.rows import pair
from headrace_evaluator.core.scores import model_key
from headrace_events.evaluation import EvaluationCompleted, EvaluationFailed, EvaluationRequested
from headrace_events.models import ModelRegistered
from headrace_events.references import DatasetRef, ModelRef
from headrace_kit import Event, Job, JobContext, JobRejected, Service, UnitOfWork

JOB = "evaluation"
MAX_ATTEMPTS = 5
_LOG = structlog.get_logger(__name__)


class ManifestMissing(Exception):
    """No manifest of the workload is known yet."""


async def on_order(
    event: Event[ModelRegistered] | Event[EvaluationRequested], uow: UnitOfWork
) -> None:
    """Write down that a version waits for its evaluation."""
    order = Order(event.id, event.data.model, event.data.incumbent, event.data.dataset)
    evaluations.add(uow.session, order, event.workload, uow.at)
    await uow.enqueue(JOB, event.id, evaluations.to_json(order))


async def replay_completed(event: Event[EvaluationCompleted], uow: UnitOfWork) -> None:
    """Write a verdict down again as the log has it; scores are a cache and are computed anew."""
    await evaluations.completed(uow.session, event.data, uow.at)


async def replay_failed(event: Event[EvaluationFailed], uow: UnitOfWork) -> None:
    """Write a failure down again as the log has it."""
    await evaluations.failed(uow.session, event.data.evaluation_id, event.data.reason, uow.at)


class EvaluationJob:
    """Works off one order."""

    def __init__(self, service: Service, scorer: Scorer) -> None:
        self._service = service
        self._scorer = scorer

    async def work(self, ctx: JobContext) -> None:
        """Score, judge, and write verdict, scores and event in one transaction."""
        order = _order(ctx.job)
        manifest = self._service.workloads.get(ctx.job.workload)
        if manifest is None:
            if ctx.job.attempt < MAX_ATTEMPTS:
                raise ManifestMissing(ctx.job.workload)
            raise JobRejected(
                f"no manifest of workload {ctx.job.workload} is known: apply it with "
                "`headrace apply` and ask for the evaluation again"
            )
        request = request_for(order, manifest)
        keys = [model_key(model, request.asking) for model in request.models]
        async with self._service.unit_of_work() as uow:
            await evaluations.started(uow.session, order.evaluation_id)
            known = await score_cache.load(uow.session, keys)
        request = request_for(order, manifest, known)
        try:
            found = await evaluate(order, manifest, request, self._scorer)
        except ScoringRefused as error:
            raise JobRejected(str(error)) from None
        except ScoringFailed as error:
            if ctx.job.attempt < MAX_ATTEMPTS:
                raise
            raise JobRejected(f"{error} (attempt {ctx.job.attempt})") from None
        # Before the verdict: where that is, so are they. A later attempt writes them over.
        sides = {
            "candidate": model_key(order.model, request.asking),
            "incumbent": model_key(order.incumbent, request.asking),
        }
        await asyncio.to_thread(
            row_table.write,
            self._service.settings.storage.root,
            ctx.job.workload,
            order.evaluation_id,
            pair(found.scored, sides["candidate"], sides["incumbent"]),
            sides,
        )
        async with ctx.finish() as uow:
            await evaluations.completed(uow.session, found.completed, uow.at)
            await score_cache.store(uow.session, found.scored.scores)
            uow.emit(found.completed, subject=order.model.version)
        _LOG.info(
            "evaluated",
            workload=ctx.job.workload,
            version=order.model.version,
            incumbent=order.incumbent.version,
            passed=found.completed.passed,
            gates=[f"{g.metric}: {g.reason}" for g in found.completed.gates],
            seconds=round(found.completed.seconds, 1),
            skipped_rows=found.scored.skipped_rows,
            reused_scores=found.scored.reused_rows,
        )

    async def failed(self, job: Job, reason: str, uow: UnitOfWork) -> None:
        """Say that there are no scores: the gate stays shut."""
        order = _order(job)
        await evaluations.failed(uow.session, job.key, reason, uow.at)
        failure = EvaluationFailed(evaluation_id=job.key, model=order.model, reason=reason)
        uow.emit(failure, subject=order.model.version)


def _order(job: Job) -> Order:
    payload: dict[str, Any] = job.payload
    return Order(
        evaluation_id=job.key,
        model=ModelRef.model_validate(payload["model"]),
        incumbent=ModelRef.model_validate(payload["incumbent"]),
        dataset=DatasetRef.model_validate(payload["dataset"]),
    )

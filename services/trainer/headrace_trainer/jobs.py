"""The leased job: one training, from its run in MLflow to its outcome event."""

import asyncio
import time

import structlog

from headrace_events.progress import seconds_left
from headrace_events.training import (
    TrainingCompleted,
    TrainingFailed,
    TrainingProgressed,
    TrainingStarted,
)
from headrace_kit import Job, JobContext, JobRejected, Service, UnitOfWork
from headrace_trainer.adapters.orders import keep_order
from headrace_trainer.adapters.ray_training import RayTraining, TrainingRefused
from headrace_trainer.adapters.results import keep_result
from headrace_trainer.adapters.runs import Run, Runs
from headrace_trainer.core.specification import Order, Outcome, Progress, Specification
from headrace_trainer.events import JOB

# A training costs minutes; a process killed a few times must not lose it.
MAX_ATTEMPTS = 5
_LOG = structlog.get_logger(__name__)


class ManifestMissing(Exception):
    """No manifest of the workload is known yet."""


class TrainingJobs:
    """Work and failure of the job."""

    def __init__(
        self, service: Service, training: RayTraining, runs: Runs, report_seconds: float
    ) -> None:
        self._service = service
        self._training = training
        self._runs = runs
        self._report_seconds = report_seconds
        self.progress: dict[str, Progress] = {}
        """Of the trainings under way here, for HTTP."""
        self._closing: set[asyncio.Task[None]] = set()

    async def work(self, context: JobContext) -> None:
        """Train and report; the outcome and the end of the job are one transaction."""
        specification = await self._specification(context.job)
        run = await asyncio.to_thread(self._runs.open, specification)
        try:
            outcome = await self._follow(context, specification, run)
        except TrainingRefused as error:
            raise JobRejected(str(error)) from None
        finally:
            self.progress.pop(specification.job_id, None)
        artefact = await asyncio.to_thread(self._runs.close, run, outcome)
        async with context.finish() as uow:
            completed = TrainingCompleted(
                job_id=specification.job_id,
                run_id=run.run_id,
                base=specification.base,
                dataset=specification.dataset,
                artefact=artefact,
                steps=outcome.steps,
                planned_steps=outcome.planned_steps,
                seconds=outcome.seconds,
                metrics={
                    "loss": outcome.loss,
                    "tokens": outcome.tokens,
                    "tokens_per_second": outcome.tokens / max(outcome.seconds, 1e-9),
                    "stopped_early": float(outcome.stopped_early),
                },
                settings=specification.train.model_dump(mode="json"),
            )
            keep_result(uow.session, completed)
            uow.emit(completed)

    async def _specification(self, job: Job) -> Specification:
        """Return the recipe; one that had to wait for its manifest is kept for later attempts."""
        order = Order.model_validate(job.payload)
        if order.specification is not None:
            return order.specification
        manifest = self._service.workloads.get(job.workload)
        if manifest is None:
            if job.attempt < MAX_ATTEMPTS:
                raise ManifestMissing(job.workload)
            raise JobRejected(
                f"no manifest of workload {job.workload} is known: apply it with `headrace apply` "
                "and ask for the training again"
            )
        order = order.settled(manifest)
        async with self._service.unit_of_work() as uow:
            await keep_order(uow.session, JOB, order)
        assert order.specification is not None  # noqa: S101 - `settled` has just set it
        return order.specification

    async def _follow(self, context: JobContext, specification: Specification, run: Run) -> Outcome:
        started, began = False, time.monotonic()
        unlogged: list[Progress] = []
        reported = time.monotonic()
        async for item in self._training.run(specification):
            if isinstance(item, Outcome):
                await asyncio.to_thread(self._runs.log, run, unlogged)
                return item
            self.progress[specification.job_id] = item
            if not started:
                started, began = True, time.monotonic()
                await context.report(
                    TrainingStarted(
                        job_id=specification.job_id,
                        base=specification.base,
                        dataset=specification.dataset,
                        steps=item.steps,
                        resumed_at_step=item.resumed_at_step,
                    )
                )
                continue
            unlogged.append(item)
            if time.monotonic() - reported < self._report_seconds:
                continue
            reported = time.monotonic()
            await context.report(
                TrainingProgressed(
                    job_id=specification.job_id,
                    step=item.step,
                    steps=item.steps,
                    loss=item.loss,
                    tokens_per_second=item.tokens_per_second,
                    seconds_left=seconds_left(
                        item.step - item.resumed_at_step,
                        item.steps - item.resumed_at_step,
                        time.monotonic() - began,
                    ),
                )
            )
            await asyncio.to_thread(self._runs.log, run, unlogged)
            unlogged = []
        raise RuntimeError("the training ended without an outcome")

    async def failed(self, job: Job, reason: str, uow: UnitOfWork) -> None:
        """Say that there will be no adapter, and end the run in MLflow."""
        cancelled = job.cancel_requested or reason == "cancelled"
        uow.emit(TrainingFailed(job_id=job.key, reason=reason, cancelled=cancelled))
        # Beside the transaction, which must not wait for another server.
        closing = asyncio.create_task(self._close_run(job))
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)

    async def _close_run(self, job: Job) -> None:
        try:
            await asyncio.to_thread(self._runs.fail, job.key, job.workload)
        except Exception as error:  # noqa: BLE001 - MLflow away must not hide the failure
            _LOG.warning("MLflow run left open", job=job.key, error=type(error).__name__)

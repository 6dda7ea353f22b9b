"""The job that makes a version of a trained artefact."""

from typing import Any

import structlog

from headrace_events.models import ModelRegistered, ModelRejected
from headrace_events.monitoring import AlertRaised
from headrace_events.references import ModelRef
from headrace_events.training import TrainingCompleted
from headrace_kit import Event, Job, JobContext, JobRejected, UnitOfWork
from headrace_kit.job_log import job_of
from headrace_registry.adapters import versions
from headrace_registry.core.registration import ArtefactRefused, Candidate, ModelStore, register
from headrace_registry.core.versions import Version
from headrace_registry.mirror import mirror_later

JOB = "registration"
UNREGISTERED = "unregistered"
_LOG = structlog.get_logger(__name__)


async def on_training_completed(event: Event[TrainingCompleted], uow: UnitOfWork) -> None:
    """Write down that an artefact waits for registration."""
    payload = {"event_id": event.id, "training": event.data.model_dump(mode="json")}
    await uow.enqueue(JOB, event.data.job_id, payload)


class RegistrationJob:
    """Verifies the artefact, numbers the version, says that it exists."""

    def __init__(self, store: ModelStore) -> None:
        self._store = store

    async def work(self, ctx: JobContext) -> None:
        """Register; a repeated attempt finds the version that the first one made."""
        training = TrainingCompleted.model_validate(ctx.job.payload["training"])
        name = ctx.job.workload
        candidate = Candidate(name, ctx.job.key, ctx.job.payload["event_id"], training)
        try:
            number = await register(candidate, self._store)
        except ArtefactRefused as error:
            raise JobRejected(str(error)) from None
        version = Version(
            name=name,
            version=number,
            base=training.base,
            artefact=training.artefact,
            dataset=training.dataset,
        )
        async with ctx.finish() as uow:
            line = await versions.load(uow.session, name)
            fact = ModelRegistered(
                model=version.ref,
                incumbent=line.incumbent(training.base),
                dataset=training.dataset,
                run_id=training.run_id,
                metrics=training.metrics,
            )
            event = uow.emit(fact, subject=number)
            await _write_down(uow, version, training, event, uow.cause)
            await mirror_later(uow, name, event.id)
        _LOG.info("registered", workload=name, version=number, incumbent=fact.incumbent.version)

    async def failed(self, job: Job, reason: str, uow: UnitOfWork) -> None:
        """Say that there will be no version: the turn of the loop ends here, and somebody looks."""
        training = TrainingCompleted.model_validate(job.payload["training"])
        model = ModelRef(
            name=job.workload, version=UNREGISTERED, base=training.base, artefact=training.artefact
        )
        why = f"not registered: {reason}"
        event = uow.emit(ModelRejected(model=model, reason=why), subject=UNREGISTERED)
        versions.record(uow.session, event, UNREGISTERED, note=why)
        alert = AlertRaised(
            name=f"registration/{job.workload}/{job.key}",
            severity="critical",
            summary=why,
            next_step="Is MLflow up, and is the adapter still in the storage? Then train again: "
            f"POST /v1/fine_tuning/jobs with model `{job.workload}`.",
        )
        uow.emit(alert)


async def replay_registered(event: Event[ModelRegistered], uow: UnitOfWork) -> None:
    """Make a version again from what the log says of it and of its training."""
    job = await job_of(uow, event, JOB)
    if job is None:
        raise LookupError("the training of this version is no longer in the log")
    training = TrainingCompleted.model_validate(job.payload["training"])
    model = event.data.model
    version = Version(
        name=event.workload,
        version=model.version,
        base=model.base,
        artefact=model.artefact or training.artefact,
        dataset=event.data.dataset,
    )
    await _write_down(uow, version, training, event, job.causing_event())


async def replay_rejected(event: Event[ModelRejected], uow: UnitOfWork) -> None:
    """Write down again that a training became no version; other rejections are decided anew."""
    if event.data.model.version == UNREGISTERED:
        versions.record(uow.session, event, UNREGISTERED, note=event.data.reason)


async def _write_down(
    uow: UnitOfWork,
    version: Version,
    training: TrainingCompleted,
    event: Event[Any],
    cause: Event[Any] | None,
) -> None:
    await versions.add(uow.session, version, training, uow.at)
    if cause:
        versions.record(
            uow.session,
            cause,
            version.version,
            event_type=TrainingCompleted.TYPE,
            note=f"job {training.job_id}",
        )
    versions.record(uow.session, event, version.version)

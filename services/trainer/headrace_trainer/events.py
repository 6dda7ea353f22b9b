"""Kafka handlers: a dataset version, or a request, becomes a training job."""

from headrace_events import Event
from headrace_events.data import DatasetCurated
from headrace_events.references import DatasetRef
from headrace_events.training import (
    TrainingCancelRequested,
    TrainingCompleted,
    TrainingFailed,
    TrainingRequested,
)
from headrace_events.workload import Manifest
from headrace_kit import Service, UnitOfWork
from headrace_trainer.adapters.results import keep_result
from headrace_trainer.adapters.tables import DatasetRow
from headrace_trainer.core.specification import Order

JOB = "training"


def job_id(event: Event[DatasetCurated] | Event[TrainingRequested]) -> str:
    """Return the id of the one training that an event starts."""
    return f"ftjob-{event.id}"


async def enqueue(
    uow: UnitOfWork, manifest: Manifest | None, workload: str, dataset: DatasetRef, identity: str
) -> None:
    """Write the job, with the recipe if the manifest is known yet."""
    order = Order(job_id=identity, workload=workload, dataset=dataset)
    if manifest is not None:
        order = order.settled(manifest)
    await uow.enqueue(JOB, identity, order.model_dump(mode="json"), workload=workload)


class Handlers:
    """Handlers of control events."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def dataset_curated(self, event: Event[DatasetCurated], uow: UnitOfWork) -> None:
        """Train on every new dataset version."""
        dataset = event.data.dataset
        await uow.session.merge(
            DatasetRow(
                workload=event.workload,
                version=dataset.version,
                dataset=dataset.model_dump(mode="json"),
            )
        )
        await self._start(event, uow, dataset)

    async def training_requested(self, event: Event[TrainingRequested], uow: UnitOfWork) -> None:
        """Train on the dataset version that was named, or on the newest."""
        dataset = event.data.dataset or await newest_dataset(uow, event.workload)
        if dataset is None:
            reason = "there is no dataset version yet: land records first"
            uow.emit(TrainingFailed(job_id=job_id(event), reason=reason))
            return
        await self._start(event, uow, dataset)

    async def cancel_requested(
        self, event: Event[TrainingCancelRequested], uow: UnitOfWork
    ) -> None:
        """Stop a training that is waiting or under way."""
        await self._service.cancel_job_in(uow, JOB, event.data.job_id)

    async def _start(
        self,
        event: Event[DatasetCurated] | Event[TrainingRequested],
        uow: UnitOfWork,
        dataset: DatasetRef,
    ) -> None:
        manifest = self._service.workloads.get(event.workload)
        await enqueue(uow, manifest, event.workload, dataset, job_id(event))


async def replay_completed(event: Event[TrainingCompleted], uow: UnitOfWork) -> None:
    """Write a training's result down again as the log has it."""
    keep_result(uow.session, event.data)


async def newest_dataset(uow: UnitOfWork, workload: str) -> DatasetRef | None:
    """Return the newest dataset version that the trainer has heard of."""
    row = await uow.session.get(DatasetRow, workload)
    return DatasetRef.model_validate(row.dataset) if row else None

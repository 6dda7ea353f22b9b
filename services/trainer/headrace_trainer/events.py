"""Kafka handlers: a dataset version, or a request, becomes a training job."""

from headrace_events import Event
from headrace_events.data import DatasetCurated
from headrace_events.references import DatasetRef
from headrace_events.training import TrainingCancelRequested, TrainingFailed, TrainingRequested
from headrace_events.workload import Manifest
from headrace_kit import Service, UnitOfWork
from headrace_trainer.adapters.tables import DatasetRow
from headrace_trainer.core.specification import Specification

JOB = "training"


def job_id(event: Event[DatasetCurated] | Event[TrainingRequested]) -> str:
    """Return the id of the one training that an event starts."""
    return f"ftjob-{event.id}"


async def enqueue(uow: UnitOfWork, manifest: Manifest, dataset: DatasetRef, identity: str) -> None:
    """Write the job with everything that the training depends on."""
    specification = Specification(
        job_id=identity,
        workload=manifest.metadata.name,
        base=manifest.spec.base,
        system=manifest.spec.system,
        dataset=dataset,
        train=manifest.spec.train,
    )
    await uow.enqueue(
        JOB,
        identity,
        specification.model_dump(mode="json"),
        workload=manifest.metadata.name,
    )


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
            self._fail(event, uow, "there is no dataset version yet: land records first")
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
        if manifest is None:
            self._fail(event, uow, "the workload's manifest is not known: `headrace apply` it")
            return
        await enqueue(uow, manifest, dataset, job_id(event))

    @staticmethod
    def _fail(
        event: Event[DatasetCurated] | Event[TrainingRequested], uow: UnitOfWork, reason: str
    ) -> None:
        uow.emit(TrainingFailed(job_id=job_id(event), reason=reason))


async def newest_dataset(uow: UnitOfWork, workload: str) -> DatasetRef | None:
    """Return the newest dataset version that the trainer has heard of."""
    row = await uow.session.get(DatasetRow, workload)
    return DatasetRef.model_validate(row.dataset) if row else None

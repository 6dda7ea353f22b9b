"""Kafka handlers: batches, drifts and manifests to curation jobs."""

from headrace_data_quality.adapters import plans
from headrace_data_quality.core.versions import Trigger
from headrace_data_quality.jobs import KIND
from headrace_events import Event
from headrace_events.data import RecordsLanded
from headrace_events.monitoring import DriftDetected
from headrace_events.workload import WorkloadApplied
from headrace_kit import UnitOfWork


async def records_landed(event: Event[RecordsLanded], uow: UnitOfWork) -> None:
    """Note the batch and curate it."""
    await plans.add_batch(uow.session, event.workload, event.data, uow.at)
    await _curate(uow, event.workload, f"batch/{event.data.batch_id}", "records")


async def drift_detected(event: Event[DriftDetected], uow: UnitOfWork) -> None:
    """Curate what has landed since the last version."""
    await _curate(uow, event.workload, f"drift/{event.id}", "drift")


async def workload_applied(event: Event[WorkloadApplied], uow: UnitOfWork) -> None:
    """Curate batches that were waiting for this manifest, or for other rules."""
    workload = event.data.manifest.metadata.name
    if await plans.pending(uow.session, workload):
        await _curate(uow, workload, f"manifest/{workload}/{event.id}", "manifest")


async def _curate(uow: UnitOfWork, workload: str, key: str, trigger: Trigger) -> None:
    await uow.enqueue(KIND, key, {"trigger": trigger}, workload=workload)

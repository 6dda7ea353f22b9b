"""Wires data-quality."""

from headrace_data_quality import api, api_rows, events
from headrace_data_quality.adapters.curating import Curator
from headrace_data_quality.adapters.tables import Base
from headrace_data_quality.jobs import KIND, CurationJobs, replay_curated, replay_rejected
from headrace_data_quality.settings import Settings
from headrace_events.data import DatasetCurated, DatasetRejected, RecordsLanded
from headrace_events.monitoring import DriftDetected
from headrace_events.workload import WorkloadApplied
from headrace_kit import Service
from headrace_kit.table_upkeep import TableUpkeep


def build(settings: Settings | None = None) -> Service:
    """Return the service, wired and not yet running."""
    settings = settings or Settings()
    service = Service("data-quality", settings, tables=Base.metadata)
    jobs = CurationJobs(service, Curator(settings.storage.root), settings.settle_seconds)
    service.on(RecordsLanded, events.records_landed)
    service.on(DriftDetected, events.drift_detected)
    service.on(WorkloadApplied, events.workload_applied)
    service.replays(DatasetCurated, replay_curated)
    service.replays(DatasetRejected, replay_rejected)
    service.jobs(KIND, jobs.work, failed=jobs.failed)
    # Dataset versions stay readable for ever, so only the rejects are tidied up.
    upkeep = TableUpkeep(
        settings.storage.root,
        settings.upkeep,
        service.workloads.all,
        compacted=("rejects",),
        vacuumed=("rejects", "refused"),
    )
    service.every(settings.upkeep.look_seconds, upkeep.tick, name="table upkeep", once=True)
    service.api.include_router(api.router(service))
    service.api.include_router(api_rows.router(service))
    return service

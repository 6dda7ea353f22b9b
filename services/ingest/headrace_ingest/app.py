"""Wires ingest."""

from headrace_events.inference import FeedbackGiven, InferenceCompleted, InferenceRejected
from headrace_events.workload import WorkloadApplied
from headrace_ingest.adapters.capture_flush import CaptureFlush
from headrace_ingest.adapters.roots import Roots
from headrace_ingest.adapters.sources import RawTables, SourceReader
from headrace_ingest.adapters.tables import Base
from headrace_ingest.api import router
from headrace_ingest.core.landing import Landing
from headrace_ingest.events import Handlers
from headrace_ingest.jobs import KIND, LandingJobs
from headrace_ingest.replay import Replay
from headrace_ingest.settings import Settings
from headrace_kit import Service
from headrace_kit.table_upkeep import TableUpkeep

_FLUSH_LOOK_SECONDS = 1.0
_CLEAN_SECONDS = 3600.0
# A transaction costs as much as dozens of rows.
_GATHER_BYTES = 256 * 1024


def build(settings: Settings | None = None) -> Service:
    """Return the service, wired and not yet running."""
    settings = settings or Settings()
    root = settings.storage.root
    service = Service("ingest", settings, tables=Base.metadata)
    flush = CaptureFlush(service, settings.capture)
    reader = SourceReader(settings.max_file_bytes, Roots.of(settings))
    landing = Landing(reader, RawTables(root))
    jobs = LandingJobs(landing, flush, root)
    handlers = Handlers(service, reader.fingerprint)
    service.on(WorkloadApplied, handlers.workload_applied)
    service.on(FeedbackGiven, handlers.feedback_given)
    service.stream(
        "capture",
        [InferenceCompleted, InferenceRejected],
        handlers.outcomes,
        max_records=256,
        gather_bytes=_GATHER_BYTES,
        keeps_state=True,
    )
    Replay(service).register()
    service.jobs(KIND, jobs.work, failed=jobs.failed)
    # Once: two replicas at one flush would only meet in Delta's conflicts.
    service.every(_FLUSH_LOOK_SECONDS, flush.tick, name="capture flush", once=True)
    service.every(_CLEAN_SECONDS, flush.clean, name="capture cleaning", once=True)
    upkeep = TableUpkeep(
        root,
        settings.upkeep,
        service.workloads.all,
        # A batch of a raw table is one file in a partition of its own: nothing to put together.
        compacted=("traffic",),
        vacuumed=("traffic", "raw"),
        alone=flush.alone,
    )
    service.every(settings.upkeep.look_seconds, upkeep.tick, name="table upkeep", once=True)
    service.api.include_router(router(service, settings, landing))
    return service

"""Wires the evaluator."""

from headrace_evaluator import api, api_rows, events
from headrace_evaluator.adapters.ray_scoring import RayScorer
from headrace_evaluator.adapters.row_table import KIND
from headrace_evaluator.adapters.tables import Base
from headrace_evaluator.core.evaluate import Scorer
from headrace_evaluator.settings import Settings
from headrace_events.evaluation import EvaluationCompleted, EvaluationFailed, EvaluationRequested
from headrace_events.models import ModelRegistered
from headrace_kit import Service
from headrace_kit.table_upkeep import TableUpkeep


def build(settings: Settings | None = None, scorer: Scorer | None = None) -> Service:
    """Build the service; tests may give another scorer than Ray."""
    settings = settings or Settings()
    service = Service("evaluator", settings, tables=Base.metadata)
    job = events.EvaluationJob(service, scorer or RayScorer(settings.ray.address, settings.scoring))
    service.on(ModelRegistered, events.on_order)
    service.on(EvaluationRequested, events.on_order)
    service.replays(EvaluationCompleted, events.replay_completed)
    service.replays(EvaluationFailed, events.replay_failed)
    service.jobs(events.JOB, job.work, failed=job.failed, max_attempts=events.MAX_ATTEMPTS)
    upkeep = TableUpkeep(
        settings.storage.root,
        settings.upkeep,
        service.workloads.all,
        compacted=(KIND,),
        vacuumed=(KIND,),
    )
    service.every(settings.upkeep.look_seconds, upkeep.tick, name="table upkeep", once=True)
    service.api.include_router(api.router(service))
    service.api.include_router(api_rows.router(service))
    return service

"""Wires the trainer."""

from pathlib import Path

from headrace_events.data import DatasetCurated
from headrace_events.training import (
    TrainingCancelRequested,
    TrainingCompleted,
    TrainingRequested,
)
from headrace_kit import Service
from headrace_trainer import api
from headrace_trainer.adapters.ray_training import RayTraining
from headrace_trainer.adapters.runs import Runs
from headrace_trainer.adapters.tables import Base
from headrace_trainer.events import JOB, Handlers, replay_completed
from headrace_trainer.jobs import MAX_ATTEMPTS, TrainingJobs
from headrace_trainer.settings import Settings

_LEASE_SECONDS = 30.0


def build(settings: Settings | None = None) -> Service:
    """Build the service; nothing runs yet."""
    settings = settings or Settings()
    service = Service("trainer", settings, tables=Base.metadata)
    training = RayTraining(
        settings.ray.address, checkpoint_root(settings.storage.root), settings.training.threads
    )
    jobs = TrainingJobs(
        service, training, Runs(settings.mlflow.url), settings.training.report_seconds
    )
    handlers = Handlers(service)
    service.on(DatasetCurated, handlers.dataset_curated)
    service.on(TrainingRequested, handlers.training_requested)
    service.on(TrainingCancelRequested, handlers.cancel_requested)
    service.replays(TrainingCompleted, replay_completed)
    service.jobs(
        JOB,
        jobs.work,
        failed=jobs.failed,
        lease_seconds=_LEASE_SECONDS,
        max_attempts=MAX_ATTEMPTS,
    )
    service.api.include_router(api.router(service, jobs))
    return service


def checkpoint_root(storage: str) -> str:
    """Return where Ray Train keeps checkpoints: a URI stays, a folder becomes absolute."""
    if "://" in storage:
        return f"{storage.rstrip('/')}/checkpoints"
    return str(Path(storage).resolve() / "checkpoints")

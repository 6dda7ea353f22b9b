"""Wires the registry."""

from headrace_events.data import DatasetCurated
from headrace_events.evaluation import EvaluationCompleted, EvaluationFailed
from headrace_events.models import ModelRegistered, ModelRejected
from headrace_events.rollout import (
    PromotionRequested,
    RetirementRequested,
    RollbackRequested,
    RolloutFinished,
)
from headrace_events.training import TrainingCompleted
from headrace_kit import Service
from headrace_registry import api, api_actions, api_diff, events, mirror, registration
from headrace_registry.adapters.mlflow_registry import MlflowRegistry
from headrace_registry.adapters.tables import Base
from headrace_registry.settings import Settings

# MLflow's server may take half a minute to come back: the back-off covers two.
_MLFLOW_ATTEMPTS = 8


def build(settings: Settings | None = None) -> Service:
    """Build the service."""
    settings = settings or Settings()
    service = Service("registry", settings, tables=Base.metadata)
    mlflow = MlflowRegistry(settings.mlflow.url)
    register = registration.RegistrationJob(mlflow)
    catch_up = mirror.MirrorJob(service, mlflow)
    service.on(TrainingCompleted, registration.on_training_completed)
    service.on(DatasetCurated, events.on_dataset_curated)
    service.on(EvaluationCompleted, events.on_evaluation_completed(service))
    service.on(EvaluationFailed, events.on_evaluation_failed)
    service.on(RolloutFinished, events.on_rollout_finished)
    for asked in (RollbackRequested, PromotionRequested, RetirementRequested):
        service.on(asked, events.on_asked)
    service.replays(ModelRegistered, registration.replay_registered)
    service.replays(ModelRejected, registration.replay_rejected)
    service.jobs(
        registration.JOB, register.work, failed=register.failed, max_attempts=_MLFLOW_ATTEMPTS
    )
    service.jobs(mirror.JOB, catch_up.work, failed=catch_up.failed, max_attempts=_MLFLOW_ATTEMPTS)
    for routes in (api.router, api_actions.router, api_diff.router):
        service.api.include_router(routes(service))
    return service

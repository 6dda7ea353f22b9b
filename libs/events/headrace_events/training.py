"""Events of the trainer."""

from typing import Any, ClassVar

from headrace_events import topics
from headrace_events.envelope import EventData
from headrace_events.references import ArtefactRef, DatasetRef


class TrainingRequested(EventData):
    """Somebody asks for a training on a dataset version (None: the newest)."""

    TYPE: ClassVar[str] = "training.requested.v1"
    TOPIC: ClassVar[str] = topics.TRAINING_REQUESTS

    dataset: DatasetRef | None = None
    reason: str


class TrainingCancelRequested(EventData):
    """Somebody asks to stop a training job."""

    TYPE: ClassVar[str] = "training.cancel_requested.v1"
    TOPIC: ClassVar[str] = topics.TRAINING_REQUESTS

    job_id: str


class TrainingStarted(EventData):
    """A job took its first step, or went on from a checkpoint."""

    TYPE: ClassVar[str] = "training.started.v1"
    TOPIC: ClassVar[str] = topics.TRAINING

    job_id: str
    base: str
    dataset: DatasetRef
    steps: int
    resumed_at_step: int = 0


class TrainingProgressed(EventData):
    """A job is under way."""

    TYPE: ClassVar[str] = "training.progressed.v1"
    TOPIC: ClassVar[str] = topics.TRAINING

    job_id: str
    step: int
    steps: int
    loss: float
    tokens_per_second: float
    seconds_left: float | None = None
    """Estimate until the last step; None: not known yet."""


class TrainingCompleted(EventData):
    """An adapter was written and its run logged."""

    TYPE: ClassVar[str] = "training.completed.v1"
    TOPIC: ClassVar[str] = topics.TRAINING

    job_id: str
    run_id: str
    """MLflow run."""
    base: str
    dataset: DatasetRef
    artefact: ArtefactRef
    steps: int
    planned_steps: int
    seconds: float
    metrics: dict[str, float]
    settings: dict[str, Any] | None = None
    """The recipe, as the manifest has it under `train`."""


class TrainingFailed(EventData):
    """A job ended without an adapter (failed or cancelled)."""

    TYPE: ClassVar[str] = "training.failed.v1"
    TOPIC: ClassVar[str] = topics.TRAINING

    job_id: str
    reason: str
    cancelled: bool = False

"""Events of the registry: what became of a model version."""

from typing import ClassVar

from headrace_events import topics
from headrace_events.envelope import EventData
from headrace_events.references import DatasetRef, ModelRef


class ModelRegistered(EventData):
    """A version exists and waits for its evaluation (alias `candidate`)."""

    TYPE: ClassVar[str] = "model.registered.v1"
    TOPIC: ClassVar[str] = topics.MODELS

    model: ModelRef
    incumbent: ModelRef
    """The version in production, or version `base`."""
    dataset: DatasetRef
    run_id: str
    metrics: dict[str, float]


class ModelApproved(EventData):
    """The gate opened: the version may take canary traffic (alias `canary`)."""

    TYPE: ClassVar[str] = "model.approved.v1"
    TOPIC: ClassVar[str] = topics.MODELS

    model: ModelRef
    incumbent: ModelRef
    evaluation_id: str


class ModelRejected(EventData):
    """The gate stayed shut, or the canary failed; the reason names gate or judgement."""

    TYPE: ClassVar[str] = "model.rejected.v1"
    TOPIC: ClassVar[str] = topics.MODELS

    model: ModelRef
    reason: str
    evaluation_id: str | None = None


class ModelPromoted(EventData):
    """The version takes all traffic (alias `production`)."""

    TYPE: ClassVar[str] = "model.promoted.v1"
    TOPIC: ClassVar[str] = topics.MODELS

    model: ModelRef
    previous: ModelRef
    reason: str | None = None
    """Why somebody promoted it; None: its canary succeeded."""


class ModelRolledBack(EventData):
    """Production went back to an earlier version."""

    TYPE: ClassVar[str] = "model.rolled_back.v1"
    TOPIC: ClassVar[str] = topics.MODELS

    model: ModelRef
    """The version that lost production."""
    restored: ModelRef
    reason: str


class ModelRetired(EventData):
    """The version is out of use: two promotions ago, or somebody said so; its canary is over."""

    TYPE: ClassVar[str] = "model.retired.v1"
    TOPIC: ClassVar[str] = topics.MODELS

    model: ModelRef
    reason: str

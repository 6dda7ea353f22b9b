"""Events of canary roll-outs: serving's state changes and the monitor's judgements."""

from typing import ClassVar, Literal

from headrace_events import topics
from headrace_events.envelope import EventData
from headrace_events.references import ModelRef, Reference


class ArmStats(Reference):
    """One model version over one step's window."""

    version: str
    requests: int
    errors: int
    p50_ms: float
    p95_ms: float
    rating_mean: float | None = None
    ratings: int = 0


class RolloutStarted(EventData):
    """The candidate is loaded and takes `weight` percent of the traffic."""

    TYPE: ClassVar[str] = "rollout.started.v1"
    TOPIC: ClassVar[str] = topics.ROLLOUTS

    rollout_id: str
    candidate: ModelRef
    incumbent: ModelRef
    step: int
    weight: int
    steps: tuple[int, ...]


class RolloutStepped(EventData):
    """The candidate's weight changed; `step` counts from 0."""

    TYPE: ClassVar[str] = "rollout.stepped.v1"
    TOPIC: ClassVar[str] = topics.ROLLOUTS

    rollout_id: str
    candidate: ModelRef
    step: int
    weight: int


class RolloutFinished(EventData):
    """The canary is over."""

    TYPE: ClassVar[str] = "rollout.finished.v1"
    TOPIC: ClassVar[str] = topics.ROLLOUTS

    rollout_id: str
    candidate: ModelRef
    incumbent: ModelRef
    outcome: Literal["succeeded", "failed"]
    reason: str


class RollbackRequested(EventData):
    """Somebody asks to put an earlier version back in production."""

    TYPE: ClassVar[str] = "rollback.requested.v1"
    TOPIC: ClassVar[str] = topics.ROLLOUTS

    reason: str
    to: str | None = None
    """A version that was in production, or `base`; None: the one that answered before."""
    operator: str | None = None
    """Who asks, in their own words: there are no accounts."""


class PromotionRequested(EventData):
    """Somebody asks to give all traffic to a version: before its canary ends, or once more."""

    TYPE: ClassVar[str] = "promotion.requested.v1"
    TOPIC: ClassVar[str] = topics.ROLLOUTS

    version: str
    reason: str
    operator: str | None = None


class RetirementRequested(EventData):
    """Somebody asks to take a version out of use; one in production is never retired."""

    TYPE: ClassVar[str] = "retirement.requested.v1"
    TOPIC: ClassVar[str] = topics.ROLLOUTS

    version: str
    reason: str
    operator: str | None = None


class CanaryJudged(EventData):
    """The monitor's verdict on one step of a canary."""

    TYPE: ClassVar[str] = "canary.judged.v1"
    TOPIC: ClassVar[str] = topics.JUDGEMENTS

    rollout_id: str
    step: int
    verdict: Literal["advance", "fail"]
    inconclusive: bool = False
    """With `fail`: the requests did not tell, the candidate was not found to be worse."""
    reason: str
    candidate: ArmStats
    incumbent: ArmStats

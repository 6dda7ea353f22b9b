"""The state of one workload's loop, as the console shows it."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

Stage = Literal[
    "landed",
    "curated",
    "training",
    "trained",
    "registered",
    "evaluated",
    "gate",
    "canary",
    "judged",
    "finished",
]


@dataclass(slots=True)
class Dataset:
    """One dataset version and its profile."""

    version: int
    train_rows: int
    holdout_rows: int
    rejects: dict[str, int]
    redactions: dict[str, int]
    batches: tuple[str, ...]
    sources: list[str]
    trigger: str
    at: datetime


@dataclass(slots=True)
class Training:
    """The newest training job."""

    job_id: str
    dataset: int
    state: Literal["running", "completed", "failed", "cancelled"]
    steps: int
    step: int = 0
    losses: list[tuple[int, float]] = field(default_factory=list)
    tokens_per_second: float | None = None
    resumed_at_step: int = 0
    started_at: datetime | None = None
    ended_at: datetime | None = None
    seconds: float | None = None
    reason: str | None = None


@dataclass(slots=True)
class Model:
    """One model version: what was measured and what was decided."""

    version: str
    status: str = "registered"
    dataset: int | None = None
    incumbent: str | None = None
    run_id: str | None = None
    registered_at: datetime | None = None
    evaluation: dict[str, Any] | None = None
    """metrics, gates, passed, incumbent, seconds: as in `evaluation.completed`."""
    reason: str | None = None
    decided_at: datetime | None = None


@dataclass(slots=True)
class Rollout:
    """The newest canary; the arms' live figures are added when it is shown."""

    rollout_id: str
    candidate: str
    incumbent: str
    steps: list[int]
    step: int
    weight: int
    state: Literal["running", "succeeded", "failed"] = "running"
    reason: str | None = None
    started_at: datetime | None = None
    stepped_at: datetime | None = None
    finished_at: datetime | None = None
    judgements: list[dict[str, Any]] = field(default_factory=list)


@dataclass(slots=True)
class Mark:
    """A stage that a turn of the loop reached, and the event that says so."""

    stage: Stage
    at: datetime
    event_id: str
    text: str
    good: bool = True


@dataclass(slots=True)
class Problem:
    """Why something was refused, until it is mended."""

    text: str
    at: datetime


@dataclass(slots=True)
class Decision:
    """What was decided about the workload, by whom or what, and why."""

    at: datetime
    event: str
    """The event's type, without its version: `model.rejected`."""
    text: str
    event_id: str
    source: str
    trace_id: str | None = None


@dataclass(slots=True)
class Turn:
    """One turn of the loop, from the records of a dataset version to the end of its model."""

    dataset: int
    model: str | None = None
    marks: list[Mark] = field(default_factory=list)


@dataclass(slots=True)
class WorkloadLoop:
    """All of one workload."""

    name: str
    owner: str = ""
    revision: str = ""
    base: str = ""
    applied_at: datetime | None = None
    rows_landed: int = 0
    landings: list[dict[str, Any]] = field(default_factory=list)
    source_problems: dict[str, Problem] = field(default_factory=dict)
    """By the source's name; one that lands after all has none."""
    datasets: dict[int, Dataset] = field(default_factory=dict)
    dataset_problem: str | None = None
    dataset_problem_at: datetime | None = None
    nothing_new: bool = False
    """The records of the newest refusal were all known: nobody needs to do anything."""
    training: Training | None = None
    models: dict[str, Model] = field(default_factory=dict)
    production: str = "base"
    production_since: datetime | None = None
    decisions: list[Decision] = field(default_factory=list)
    """The newest ones, in the order of their events."""
    trace_id: str | None = None
    """Of the newest event that has one."""
    rollout: Rollout | None = None
    turns: dict[int, Turn] = field(default_factory=dict)
    drift: dict[str, Any] | None = None
    training_dataset: dict[str, int] = field(default_factory=dict)
    """Dataset version by training job, for events that name only the job."""
    waiting: dict[str, list[Mark]] = field(default_factory=dict)
    """Marks that came before what says to which turn they belong, by model version or batch."""

    @property
    def source_problem(self) -> str | None:
        """Why the source that was refused last was refused; None while all are well."""
        newest = max(self.source_problems.values(), key=lambda one: one.at, default=None)
        return newest.text if newest else None

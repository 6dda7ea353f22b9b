"""What happened so far, told from the events alone: the demo watches, it calls nobody."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from headrace_events import Event
from headrace_events.data import (
    DatasetCurated,
    DatasetRejected,
    RecordsLanded,
    RecordsRejected,
)
from headrace_events.evaluation import EvaluationCompleted, EvaluationFailed, MetricResult
from headrace_events.models import ModelApproved, ModelPromoted, ModelRegistered, ModelRejected
from headrace_events.rollout import CanaryJudged, RolloutFinished, RolloutStarted, RolloutStepped
from headrace_events.training import (
    TrainingCompleted,
    TrainingFailed,
    TrainingProgressed,
    TrainingStarted,
)
from headrace_events.workload import WorkloadApplied

State = Literal["waiting", "running", "done", "failed"]

STAGES = ("ingest", "data-quality", "trainer", "registry", "evaluator", "gate", "canary", "promote")


@dataclass
class Stage:
    """One station of a turn."""

    name: str
    state: State = "waiting"
    detail: str = ""
    caused_by: str = ""
    started: datetime | None = None
    ended: datetime | None = None
    progress: float | None = None

    @property
    def seconds(self) -> float | None:
        """How long it took, in the events' own time."""
        if self.started and self.ended:
            return (self.ended - self.started).total_seconds()
        return None


@dataclass
class Turn:
    """One way round the loop: from records to a decision on a model version."""

    number: int
    stages: dict[str, Stage] = field(default_factory=lambda: {n: Stage(n) for n in STAGES})
    version: str | None = None
    metrics: tuple[MetricResult, ...] = ()
    decision: Literal["", "promoted", "rejected"] = ""
    reason: str = ""

    @property
    def over(self) -> bool:
        """Whether the loop came to a decision."""
        return bool(self.decision)

    @property
    def failure(self) -> str:
        """Why a stage could not do its work, or nothing."""
        broken = [s for s in self.stages.values() if s.state == "failed" and not self.over]
        return f"{broken[0].name}: {broken[0].detail}" if broken else ""


@dataclass
class Line:
    """One event, told in a line."""

    event: Event[Any]
    turn: int
    text: str
    caused_by: str


class Story:
    """Takes the control events of one workload in order and keeps its turns."""

    def __init__(self) -> None:
        self.turns: list[Turn] = [Turn(1)]
        self._types: dict[str, str] = {}
        self._dataset_turn: dict[int, Turn] = {}
        self._version_turn: dict[str, Turn] = {}
        self._rollout_turn: dict[str, Turn] = {}
        self._job_turn: dict[str, Turn] = {}

    @property
    def turn(self) -> Turn:
        """The newest turn."""
        return self.turns[-1]

    def take(self, event: Event[Any]) -> Line | None:
        """Learn from an event; return the line that tells it, or None if it is not of the story."""
        if event.id in self._types:
            return None
        self._types[event.id] = event.type
        cause = self._types.get(event.causationid or "", "")
        teller = _TELLERS.get(type(event.data))
        if teller is None:
            return None
        turn, text = teller(self, event, event.data, cause)
        return Line(event, turn.number, text, cause) if text else None

    # Each of these says which turn the event belongs to, changes its stages, and tells it.

    def _applied(self, event: Event[Any], data: WorkloadApplied, cause: str) -> tuple[Turn, str]:
        return self.turn, f"manifest {event.workload}, revision {data.revision}"

    def _landed(self, event: Event[Any], data: RecordsLanded, cause: str) -> tuple[Turn, str]:
        if self.turn.stages["ingest"].state == "done":
            self.turns.append(Turn(len(self.turns) + 1))
        text = f"{data.rows:,} rows from {data.source}"
        self._end(self.turn, "ingest", event, text, cause or "feedback of the product")
        self._begin(self.turn, "data-quality", event, event.type)
        return self.turn, text

    def _unreadable(self, event: Event[Any], data: RecordsRejected, cause: str) -> tuple[Turn, str]:
        self._fail(self.turn, "ingest", event, f"{data.source}: {data.reason}")
        return self.turn, data.reason

    def _curated(self, event: Event[Any], data: DatasetCurated, cause: str) -> tuple[Turn, str]:
        turn = next(
            (t for t in self.turns if t.stages["data-quality"].state == "running"), self.turn
        )
        self._dataset_turn[data.dataset.version] = turn
        dropped = ", ".join(f"{n:,} {reason}" for reason, n in sorted(data.rejects.items()) if n)
        text = (
            f"dataset v{data.dataset.version}: {data.dataset.train_rows:,} train, "
            f"{data.dataset.holdout_rows:,} holdout" + (f"; dropped {dropped}" if dropped else "")
        )
        self._end(turn, "data-quality", event, text, cause)
        self._begin(turn, "trainer", event, event.type)
        return turn, text

    def _not_curated(
        self, event: Event[Any], data: DatasetRejected, cause: str
    ) -> tuple[Turn, str]:
        self._fail(self.turn, "data-quality", event, data.reason)
        return self.turn, data.reason

    def _training(self, event: Event[Any], data: TrainingStarted, cause: str) -> tuple[Turn, str]:
        turn = self._dataset_turn.get(data.dataset.version, self.turn)
        self._job_turn[data.job_id] = turn
        turn.stages["trainer"].state = "running"
        went_on = f", goes on at step {data.resumed_at_step}" if data.resumed_at_step else ""
        return turn, f"{data.steps} steps on {data.base}{went_on}"

    def _step(self, event: Event[Any], data: TrainingProgressed, cause: str) -> tuple[Turn, str]:
        turn = self._job_turn.get(data.job_id, self.turn)
        stage = turn.stages["trainer"]
        stage.progress = data.step / max(data.steps, 1)
        stage.detail = (
            f"step {data.step}/{data.steps}, loss {data.loss:.3f}, "
            f"{data.tokens_per_second:,.0f} tokens/s"
        )
        return turn, ""

    def _trained(self, event: Event[Any], data: TrainingCompleted, cause: str) -> tuple[Turn, str]:
        turn = self._dataset_turn.get(data.dataset.version, self.turn)
        text = f"{data.steps} steps in {data.seconds:.0f} s, adapter {data.artefact.digest[:12]}"
        self._end(turn, "trainer", event, text, cause)
        self._begin(turn, "registry", event, event.type)
        return turn, text

    def _untrained(self, event: Event[Any], data: TrainingFailed, cause: str) -> tuple[Turn, str]:
        turn = self._job_turn.get(data.job_id, self.turn)
        self._fail(turn, "trainer", event, data.reason)
        return turn, data.reason

    def _registered(self, event: Event[Any], data: ModelRegistered, cause: str) -> tuple[Turn, str]:
        turn = self._dataset_turn.get(data.dataset.version, self.turn)
        self._version_turn[data.model.version] = turn
        turn.version = data.model.version
        text = f"v{data.model.version} registered; incumbent is {label(data.incumbent.version)}"
        self._end(turn, "registry", event, text, cause)
        self._begin(turn, "evaluator", event, event.type)
        return turn, text

    def _evaluated(
        self, event: Event[Any], data: EvaluationCompleted, cause: str
    ) -> tuple[Turn, str]:
        turn = self._version_turn.get(data.model.version, self.turn)
        turn.metrics = data.metrics
        text = ", ".join(
            f"{m.metric} {m.incumbent:.3f} → {m.candidate:.3f} [{m.low:+.3f}, {m.high:+.3f}]"
            for m in data.metrics
        )
        self._end(turn, "evaluator", event, text, cause)
        self._begin(turn, "gate", event, event.type)
        return turn, text

    def _unevaluated(
        self, event: Event[Any], data: EvaluationFailed, cause: str
    ) -> tuple[Turn, str]:
        turn = self._version_turn.get(data.model.version, self.turn)
        self._fail(turn, "evaluator", event, data.reason)
        return turn, data.reason

    def _approved(self, event: Event[Any], data: ModelApproved, cause: str) -> tuple[Turn, str]:
        turn = self._version_turn.get(data.model.version, self.turn)
        text = f"the gate is open for v{data.model.version}"
        self._end(turn, "gate", event, text, cause)
        self._begin(turn, "canary", event, event.type)
        return turn, text

    def _refused(self, event: Event[Any], data: ModelRejected, cause: str) -> tuple[Turn, str]:
        turn = self._version_turn.get(data.model.version, self.turn)
        turn.decision, turn.reason = "rejected", data.reason
        stage = "gate" if turn.stages["gate"].state != "done" else "canary"
        self._fail(turn, stage, event, data.reason)
        return turn, f"v{data.model.version} rejected: {data.reason}"

    def _rollout(self, event: Event[Any], data: RolloutStarted, cause: str) -> tuple[Turn, str]:
        turn = self._version_turn.get(data.candidate.version, self.turn)
        self._rollout_turn[data.rollout_id] = turn
        turn.stages["canary"].detail = f"{data.weight} % of the requests go to the candidate"
        turn.stages["canary"].progress = 0.0
        return turn, f"v{data.candidate.version} takes {data.weight} % of the requests"

    def _stepped(self, event: Event[Any], data: RolloutStepped, cause: str) -> tuple[Turn, str]:
        turn = self._version_turn.get(data.candidate.version, self.turn)
        turn.stages["canary"].detail = f"{data.weight} % of the requests go to the candidate"
        return turn, f"v{data.candidate.version} takes {data.weight} % of the requests"

    def _judged(self, event: Event[Any], data: CanaryJudged, cause: str) -> tuple[Turn, str]:
        turn = self._rollout_turn.get(data.rollout_id, self.turn)
        arms = (("candidate", data.candidate), ("incumbent", data.incumbent))
        seen = "; ".join(
            f"{name} {arm.requests} requests, {arm.errors} errors, p95 {arm.p95_ms:,.0f} ms"
            for name, arm in arms
        )
        return turn, f"{data.verdict}: {data.reason} ({seen})"

    def _rolled_out(self, event: Event[Any], data: RolloutFinished, cause: str) -> tuple[Turn, str]:
        turn = self._version_turn.get(data.candidate.version, self.turn)
        text = f"canary {data.outcome}: {data.reason}"
        if data.outcome == "succeeded":
            self._end(turn, "canary", event, text, cause)
            self._begin(turn, "promote", event, event.type)
        return turn, text

    def _promoted(self, event: Event[Any], data: ModelPromoted, cause: str) -> tuple[Turn, str]:
        turn = self._version_turn.get(data.model.version, self.turn)
        turn.decision = "promoted"
        text = f"v{data.model.version} answers every request now"
        self._end(turn, "promote", event, text, cause)
        return turn, text

    @staticmethod
    def _begin(turn: Turn, name: str, event: Event[Any], cause: str) -> None:
        stage = turn.stages[name]
        stage.state, stage.started, stage.caused_by = "running", event.time, cause

    @staticmethod
    def _end(turn: Turn, name: str, event: Event[Any], detail: str, cause: str) -> None:
        stage = turn.stages[name]
        stage.state, stage.ended, stage.detail, stage.progress = "done", event.time, detail, None
        stage.caused_by = stage.caused_by or cause

    @staticmethod
    def _fail(turn: Turn, name: str, event: Event[Any], reason: str) -> None:
        stage = turn.stages[name]
        stage.state, stage.ended, stage.detail = "failed", event.time, reason


_TELLERS: dict[type, Any] = {
    WorkloadApplied: Story._applied,
    RecordsLanded: Story._landed,
    RecordsRejected: Story._unreadable,
    DatasetCurated: Story._curated,
    DatasetRejected: Story._not_curated,
    TrainingStarted: Story._training,
    TrainingProgressed: Story._step,
    TrainingCompleted: Story._trained,
    TrainingFailed: Story._untrained,
    ModelRegistered: Story._registered,
    EvaluationCompleted: Story._evaluated,
    EvaluationFailed: Story._unevaluated,
    ModelApproved: Story._approved,
    ModelRejected: Story._refused,
    RolloutStarted: Story._rollout,
    RolloutStepped: Story._stepped,
    CanaryJudged: Story._judged,
    RolloutFinished: Story._rolled_out,
    ModelPromoted: Story._promoted,
}


def label(version: str) -> str:
    """Name a version as people do."""
    return "the base" if version == "base" else f"v{version}"

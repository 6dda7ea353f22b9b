"""The workload manifest: one file declares one use of a model."""

import hashlib
from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from headrace_events import topics
from headrace_events.envelope import EventData

Fraction = Annotated[float, Field(ge=0.0, le=1.0)]
WorkloadName = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$")]
Metric = Literal["exact_match", "rouge_l", "perplexity"]


class Strict(BaseModel):
    """A manifest with an unknown field is refused: a typo must not pass silently."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Source(Strict):
    """Where records come from: a file, the interpreter's own documentation, or live traffic.

    `part` takes a stable slice of the rows (by hash of the prompt), as half-open [from, to);
    `limit` takes a stable sample of at most so many of them.
    """

    type: Literal["file", "python_docs"]
    path: str | None = Field(None, description="a CSV, JSONL, Parquet or text file; for `file`")
    prompt: str = "prompt"
    completion: str = "completion"
    limit: int | None = Field(None, gt=0)
    part: tuple[Fraction, Fraction] = (0.0, 1.0)

    @model_validator(mode="after")
    def _path_given(self) -> "Source":
        if self.type == "file" and not self.path:
            raise ValueError("a source of type `file` needs `path`")
        if self.part[0] >= self.part[1]:
            raise ValueError("`part` must be [from, to) with from < to")
        return self


class Dedup(Strict):
    """Near duplicates: MinHash Jaccard similarity of prompt and completion at or above `near`."""

    near: Fraction = 0.9


class Data(Strict):
    """What becomes a dataset version."""

    sources: tuple[Source, ...] = ()
    language: tuple[Literal["en", "hu"], ...] = ("en", "hu")
    pii: Literal["redact", "drop", "keep"] = "redact"
    dedup: Dedup = Dedup()
    min_rows: int = Field(50, ge=1)
    max_chars: int = Field(4000, ge=1, description="prompt plus completion")
    holdout: Fraction = 0.1
    feedback_batch: int = Field(
        100, ge=1, description="usable feedback rows that make ingest land captured traffic"
    )


class Train(Strict):
    """How the base is fine-tuned; steps are fixed so that fast and slow CPUs get one model."""

    method: Literal["lora"] = "lora"
    rank: int = Field(16, ge=1, le=256)
    learning_rate: float = Field(1e-3, gt=0)
    batch_size: int = Field(16, ge=1)
    epochs: int = Field(2, ge=1)
    max_steps: int | None = Field(None, ge=1, description="at most this many steps in all epochs")
    max_tokens: int = Field(256, ge=16, description="longer rows are cut")
    max_minutes: float = Field(10.0, gt=0)
    checkpoint_every: int = Field(20, ge=1, description="steps")
    seed: int = Field(7, ge=0)
    workers: int = Field(1, ge=1)
    gpus_per_worker: float = Field(0, ge=0)


class Gate(Strict):
    """Candidate minus `against` must be at least `margin`, at one-sided `confidence`.

    For perplexity (lower is better) the difference is taken as incumbent minus candidate,
    relative to the incumbent.
    """

    metric: Metric
    against: Literal["incumbent", "base"] = "incumbent"
    margin: float = -0.01
    confidence: float = Field(0.95, gt=0.5, lt=1.0)


class Evaluate(Strict):
    """What is measured on the holdout and what opens the gate."""

    metrics: tuple[Metric, ...] = ("exact_match", "rouge_l", "perplexity")
    gates: tuple[Gate, ...] = (Gate(metric="rouge_l"),)
    max_rows: int = Field(100, ge=2, description="holdout rows scored, taken by hash")
    max_tokens: int = Field(48, ge=1)

    @model_validator(mode="after")
    def _gates_measured(self) -> "Evaluate":
        missing = {g.metric for g in self.gates} - set(self.metrics)
        if missing:
            raise ValueError(
                f"gates on metrics that are not measured: {', '.join(sorted(missing))}"
            )
        if not self.gates:
            raise ValueError("at least one gate is needed: without one nothing can be approved")
        return self


class Canary(Strict):
    """Weights in percent and the requests that each side needs before a step is judged."""

    steps: tuple[Annotated[int, Field(ge=1, le=100)], ...] = (20, 50)
    min_requests: int = Field(
        70,
        ge=1,
        description="requests of the candidate before a step is judged; "
        "the limits may need more (52 without an error show at most 5 %)",
    )
    max_error_rate_increase: Fraction = 0.05
    max_latency_ratio: float = Field(2.0, gt=1.0, description="p95 candidate / p95 incumbent")

    @model_validator(mode="after")
    def _rising(self) -> "Canary":
        if not self.steps or list(self.steps) != sorted(set(self.steps)):
            raise ValueError("canary steps must rise and be at least one")
        return self


class Serve(Strict):
    """How requests are answered."""

    engine: Literal["auto", "transformers"] = "auto"
    canary: Canary = Canary()
    max_tokens: int = Field(64, ge=1, le=4096)


class Guard(Strict):
    """Which checks run on the way in and out; `max_chars` bounds a request's text."""

    input: tuple[Literal["injection", "pii", "length"], ...] = ("injection", "pii", "length")
    output: tuple[Literal["pii", "length"], ...] = ("pii", "length")
    max_chars: int = Field(8000, ge=1)
    pii: Literal["redact", "block"] = "redact"
    # Left out when it is the default: services of the release before refuse what they do not know.
    fail: Literal["closed", "open"] = Field(
        "closed",
        exclude_if=lambda fail: fail == "closed",
        description="a check that runs out of its time blocks the text, or lets it pass",
    )


class Slo(Strict):
    """Objectives of one window."""

    p95_ms: float = Field(10_000, gt=0)
    error_rate: Fraction = 0.05


class Drift(Strict):
    """Population stability index of the prompts' tokens, window against reference."""

    window: int = Field(200, ge=20, description="requests; 20,000 at most")
    threshold: float = Field(0.25, gt=0)


class Monitor(Strict):
    """What is watched."""

    slo: Slo = Slo()
    drift: Drift = Drift()
    retrain_on: tuple[Literal["drift", "feedback"], ...] = ("drift", "feedback")


class Spec(Strict):
    """All that one workload configures."""

    base: str = "smollm2-135m-instruct"
    system: str | None = Field(None, description="system message put before every request")
    data: Data = Data()
    train: Train = Train()
    evaluate: Evaluate = Evaluate()
    serve: Serve = Serve()
    guard: Guard = Guard()
    monitor: Monitor = Monitor()


class Metadata(Strict):
    """Name and owner; the name is also the model's name in the registry and in the HTTP API."""

    name: WorkloadName
    owner: str = "unknown"


class Manifest(Strict):
    """A workload manifest, `apiVersion: headrace/v1`."""

    apiVersion: Literal["headrace/v1"]
    kind: Literal["Workload"]
    metadata: Metadata
    spec: Spec = Spec()

    def revision(self) -> str:
        """Return a digest of the whole manifest: the same text applied twice changes nothing."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()[:16]


class WorkloadApplied(EventData):
    """A manifest was applied; the newest counts."""

    TYPE: ClassVar[str] = "workload.applied.v1"
    TOPIC: ClassVar[str] = topics.WORKLOADS

    revision: str
    manifest: Manifest

    def problem_in(self, workload: str) -> str | None:
        """A manifest speaks for the workload of its event and for no other."""
        same = self.manifest.metadata.name == workload
        return None if same else "holds the manifest of another workload than it is for"

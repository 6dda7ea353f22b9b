"""The topic catalogue: the one place that says what a topic is, who writes and who reads it."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

_DAY_MS = 24 * 60 * 60 * 1000
REPLICAS = 3
"""Of each partition in a cluster: one broker may be away without a write being refused."""


class Topic(BaseModel):
    """One Kafka topic; `key` names the field that orders its events."""

    model_config = ConfigDict(frozen=True)

    name: str
    owner: str
    description: str
    producers: tuple[str, ...]
    consumers: tuple[str, ...]
    key: str = "workload"
    partitions: int = 1
    cleanup: Literal["delete", "compact"] = "delete"
    retention_ms: int = 30 * _DAY_MS
    max_message_bytes: int | None = None
    """The largest record; None: what the brokers have as a default (1 MiB)."""

    def configuration(self, replicas: int = REPLICAS) -> dict[str, str]:
        """The topic's settings in Kafka's words, where each partition has so many replicas.

        `acks=all` waits for the replicas that are in sync, and those may be the leader alone: so a
        write is refused, and tried again, while fewer than `min.insync.replicas` are.
        """
        found: dict[str, str] = {
            "cleanup.policy": self.cleanup,
            "min.insync.replicas": str(2 if replicas >= REPLICAS else 1),
        }
        if self.cleanup == "compact":
            # A replay of the log wants the manifests that were in force, not only the newest.
            found["min.cleanable.dirty.ratio"] = "0.1"
            found["min.compaction.lag.ms"] = str(self.retention_ms)
        else:
            found["retention.ms"] = str(self.retention_ms)
        if self.max_message_bytes:
            found["max.message.bytes"] = str(self.max_message_bytes)
        return found


WORKLOADS = "headrace.workloads"
RECORDS = "headrace.records"
DATASETS = "headrace.datasets"
TRAINING_REQUESTS = "headrace.training-requests"
TRAINING = "headrace.training"
MODELS = "headrace.models"
EVALUATION_REQUESTS = "headrace.evaluation-requests"
EVALUATIONS = "headrace.evaluations"
ROLLOUTS = "headrace.rollouts"
JUDGEMENTS = "headrace.judgements"
INFERENCE_REQUESTS = "headrace.inference-requests"
INFERENCE_ADMITTED = "headrace.inference-admitted"
INFERENCE_GENERATED = "headrace.inference-generated"
INFERENCE_REQUESTS_PRIORITY = "headrace.inference-requests-priority"
INFERENCE_ADMITTED_PRIORITY = "headrace.inference-admitted-priority"
INFERENCE_GENERATED_PRIORITY = "headrace.inference-generated-priority"
INFERENCE_CANCELLATIONS = "headrace.inference-cancellations"
INFERENCE_COMPLETED = "headrace.inference-completed"
INFERENCE_PARTS = "headrace.inference-parts"
FEEDBACK = "headrace.feedback"
GUARDRAILS = "headrace.guardrails"
ALERTS = "headrace.alerts"
JOBS = "headrace.jobs"

_ALL_SERVICES = (
    "ingest",
    "data-quality",
    "trainer",
    "evaluator",
    "registry",
    "serving",
    "guardrails",
    "monitor",
)
OPERATORS = "operators"
"""People and their tools: they ask for work by an event, as a service would."""

# Inference is spread over partitions so that a service scales out; control events of one workload
# must stay in order and are few, so one partition each is enough for the embedded stack.
_INFERENCE_PARTITIONS = 4


def _inference(
    name: str, owner: str, description: str, producers: tuple[str, ...], consumers: tuple[str, ...]
) -> Topic:
    return Topic(
        name=name,
        owner=owner,
        description=description,
        producers=producers,
        consumers=consumers,
        key="request_id",
        partitions=_INFERENCE_PARTITIONS,
        retention_ms=7 * _DAY_MS,
    )


CATALOGUE: tuple[Topic, ...] = (
    Topic(
        name=WORKLOADS,
        owner="stack",
        description="Workload manifests; the newest of each is kept for ever",
        producers=("stack",),
        consumers=_ALL_SERVICES,
        cleanup="compact",
    ),
    Topic(
        name=RECORDS,
        owner="ingest",
        description="Raw records landed in a Delta table, or a source that could not be read",
        producers=("ingest",),
        consumers=("data-quality", "monitor"),
    ),
    Topic(
        name=DATASETS,
        owner="data-quality",
        description="Dataset versions curated or rejected",
        producers=("data-quality",),
        consumers=("trainer", "registry", "monitor"),
    ),
    Topic(
        name=TRAINING_REQUESTS,
        owner="trainer",
        description="Requests of operators to train or to cancel",
        producers=(OPERATORS,),
        consumers=("trainer", "monitor"),
    ),
    Topic(
        name=TRAINING,
        owner="trainer",
        description="What became of training jobs",
        producers=("trainer",),
        consumers=("registry", "monitor"),
    ),
    Topic(
        name=MODELS,
        owner="registry",
        description="State changes of model versions",
        producers=("registry",),
        consumers=("evaluator", "serving", "monitor"),
    ),
    Topic(
        name=EVALUATION_REQUESTS,
        owner="evaluator",
        description="Requests to evaluate a model version again",
        producers=("registry", OPERATORS),
        consumers=("evaluator",),
    ),
    Topic(
        name=EVALUATIONS,
        owner="evaluator",
        description="Evaluations of candidate against incumbent",
        producers=("evaluator",),
        consumers=("registry", "monitor"),
    ),
    Topic(
        name=ROLLOUTS,
        owner="serving",
        description="Canary roll-outs: started, stepped, finished; what people ask of versions",
        producers=("serving", "registry", OPERATORS),
        consumers=("registry", "monitor"),
    ),
    Topic(
        name=JUDGEMENTS,
        owner="monitor",
        description="The monitor's verdicts on canaries",
        producers=("monitor",),
        consumers=("serving", "monitor"),
    ),
    _inference(
        INFERENCE_REQUESTS,
        "guardrails",
        "Requests of product services",
        ("product services",),
        ("guardrails",),
    ),
    _inference(
        INFERENCE_ADMITTED,
        "guardrails",
        "Requests that passed the input checks",
        ("guardrails",),
        ("serving",),
    ),
    _inference(
        INFERENCE_GENERATED,
        "serving",
        "Answers before the output checks, and their parts when streamed",
        ("serving",),
        ("guardrails",),
    ),
    # The fast lane: topics of its own, because a Kafka partition is read in order, so nothing on it
    # can overtake.
    _inference(
        INFERENCE_REQUESTS_PRIORITY,
        "guardrails",
        "Requests of product services with priority high",
        ("product services",),
        ("guardrails",),
    ),
    _inference(
        INFERENCE_ADMITTED_PRIORITY,
        "guardrails",
        "Requests with priority high that passed the input checks",
        ("guardrails",),
        ("serving",),
    ),
    _inference(
        INFERENCE_GENERATED_PRIORITY,
        "serving",
        "Answers to requests with priority high before the output checks, and their parts",
        ("serving",),
        ("guardrails",),
    ),
    _inference(
        INFERENCE_CANCELLATIONS,
        "serving",
        "Requests that nobody waits for any more; every replica of serving reads all of them",
        ("product services",),
        ("serving",),
    ),
    _inference(
        INFERENCE_COMPLETED,
        "guardrails",
        "The one outcome of each request: completed or rejected",
        ("guardrails", "serving"),
        ("product services", "ingest", "monitor"),
    ),
    _inference(
        INFERENCE_PARTS,
        "guardrails",
        "Checked parts of streamed answers; the outcome event holds the whole text",
        ("guardrails",),
        ("product services",),
    ),
    _inference(
        FEEDBACK,
        "ingest",
        "Feedback of product services on answers",
        ("product services", "ingest"),
        ("ingest", "monitor"),
    ),
    Topic(
        name=GUARDRAILS,
        owner="guardrails",
        description="Checks that tripped",
        producers=("guardrails",),
        consumers=("monitor",),
    ),
    Topic(
        name=ALERTS,
        owner="monitor",
        description="Drift, breached objectives, alerts, starts of services, dead letters",
        producers=("monitor", *_ALL_SERVICES[:-1], "stack"),
        consumers=("data-quality", "monitor"),
    ),
    Topic(
        name=JOBS,
        owner="stack",
        description="Journal of each service about its own leased jobs, for `headrace replay`",
        producers=_ALL_SERVICES,
        consumers=("stack",),
    ),
    *(
        Topic(
            name=f"headrace.dlq.{service}",
            owner=service,
            description=f"Records that {service} could not handle, with origin headers",
            producers=(service,),
            consumers=("stack",),
            key="original key",
            # A record of the largest size, with the headers that say where it came from.
            max_message_bytes=2 * 1024 * 1024,
        )
        for service in _ALL_SERVICES
    ),
)

BY_NAME = {topic.name: topic for topic in CATALOGUE}


def dlq(service: str) -> str:
    """Return the dead-letter topic of a service."""
    return f"headrace.dlq.{service}"

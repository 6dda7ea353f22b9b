"""Settings of serving."""

from typing import ClassVar, Literal

from pydantic import BaseModel, Field

from headrace_kit import ServiceSettings


class Replicas(BaseModel):
    """How the model runs on Ray."""

    OF_THE_REPLICA: ClassVar[tuple[str, ...]] = (
        "count",
        "num_cpus",
        "num_gpus",
        "threads",
        "max_adapters",
        "dtype",
        "max_ongoing",
    )
    """What replicas are made with: a change deploys new ones, which take over when warm."""

    default_base: str = "smollm2-135m-instruct"
    """Deployed and warmed at start; other bases when a workload needs them."""
    count: int = 1
    num_cpus: float = 0.5
    """Logical CPUs: what Ray's scheduler counts, not a limit."""
    num_gpus: float = 0.0
    threads: int = 1
    """torch threads. Two that wait for each other on busy cores are slower than one."""
    max_adapters: int = 4
    dtype: Literal["auto", "float32", "bfloat16"] = "auto"
    """auto: bf16 where the hardware computes in it. bf16 is faster and rounds by the shape of the
    batch, so the same greedy question may get another answer beside others than alone."""
    max_ongoing: int = 64
    side_by_side: bool = True
    """Whether there is room for old and new replicas at once; false ends the old ones first, so
    that nothing is answered until the new ones are there (one GPU that holds one model)."""
    max_batch: int = 32
    max_in_flight: int = 128
    """Requests taken from Kafka and not answered yet, in each lane: the rest waits in the log."""
    max_waiting: int = 512
    """Requests under way (both ways in) before HTTP answers 503; urgent ones: a quarter more."""
    max_per_workload: int = 128
    """HTTP requests of one workload under way before its next is answered 429."""
    patience_seconds: float = 90.0
    """How long a request without a deadline waits for an engine that is away."""


class Guardrails(BaseModel):
    """Where verdicts for the HTTP path come from."""

    url: str = "http://127.0.0.1:8001"
    timeout_seconds: float = 5.0


class Serving(BaseModel):
    """What answers."""

    engine: Literal["ray", "echo"] = "ray"
    """`echo` says the last message again: no model, no Ray; for benches and tests of the path."""
    echo_ms: float = Field(0.0, ge=0.0)
    """How long the echo of one batch takes."""


class Settings(ServiceSettings):
    """What serving reads from the environment."""

    serving: Serving = Field(default_factory=Serving)
    replicas: Replicas = Field(default_factory=Replicas)
    guardrails: Guardrails = Field(default_factory=Guardrails)

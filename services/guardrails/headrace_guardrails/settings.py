"""Settings of guardrails."""

from pydantic import BaseModel, Field

from headrace_kit import ServiceSettings


class Guard(BaseModel):
    """How the service behaves around the checks; what is checked is the manifests' business."""

    wait_for_manifest_seconds: float = 2.0
    """How long a request for a workload that is not known yet is held before it is rejected."""
    max_records: int = 128
    """Requests in one micro-batch."""


class Settings(ServiceSettings):
    """What guardrails reads from the environment."""

    guard: Guard = Field(default_factory=Guard)

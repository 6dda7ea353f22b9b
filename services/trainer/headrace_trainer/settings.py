"""Settings of the trainer."""

from pydantic import BaseModel, Field

from headrace_kit import ServiceSettings


class Training(BaseModel):
    """How much of a machine one training may take; by default it leaves cores to the services."""

    threads: int = Field(1, ge=1, description="torch threads and logical Ray CPUs of a worker")
    report_seconds: float = Field(2.0, gt=0, description="between two progress events")


class Settings(ServiceSettings):
    """Everything the trainer needs to know."""

    training: Training = Field(default_factory=Training)

"""Settings of the trainer."""

from pydantic import BaseModel, Field

from headrace_kit import ServiceSettings


class Training(BaseModel):
    """How much of a machine one training may take.

    One thread by default: two gave 77 tokens/s on two cores that the whole stack shares;
    alone on the machine two gave 167.
    """

    threads: int = Field(1, ge=1, description="torch threads and logical Ray CPUs of a worker")
    report_seconds: float = Field(2.0, gt=0, description="between two progress events")


class Settings(ServiceSettings):
    """Everything the trainer needs to know."""

    training: Training = Field(default_factory=Training)

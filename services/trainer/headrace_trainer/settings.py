"""Settings of the trainer."""

from pydantic import BaseModel, Field

from headrace_kit import ServiceSettings


class Training(BaseModel):
    """How much of a machine one training may take.

    One thread by default: on two cores that the stack shares, two gave 77 tokens/s and one gave 110;
    with the machine to itself two give 167.
    """

    threads: int = Field(1, ge=1, description="torch threads and logical Ray CPUs of a worker")
    report_seconds: float = Field(2.0, gt=0, description="between two progress events")


class Settings(ServiceSettings):
    """Everything the trainer needs to know."""

    training: Training = Field(default_factory=Training)

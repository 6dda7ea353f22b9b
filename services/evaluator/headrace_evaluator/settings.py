"""Settings of the evaluator."""

from pydantic import BaseModel, Field

from headrace_kit import ServiceSettings
from headrace_kit.settings import Upkeep


class Scoring(BaseModel):
    """How the work is spread over Ray; each worker loads the model.

    Many workers with one thread each, not one with many: threads of one worker wait for each
    other, and beside other load that was measured 5 to 8 times slower.
    """

    workers: int = Field(2, ge=1)
    cpus_per_worker: int = Field(1, ge=1)
    gpus_per_worker: float = Field(0, ge=0)


class Settings(ServiceSettings):
    """What the evaluator needs to know beside what every service does."""

    scoring: Scoring = Field(default_factory=Scoring)
    upkeep: Upkeep = Field(default_factory=Upkeep)

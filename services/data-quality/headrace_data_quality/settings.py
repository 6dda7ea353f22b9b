"""Settings of data-quality."""

from pydantic import Field

from headrace_kit import ServiceSettings
from headrace_kit.settings import Upkeep


class Settings(ServiceSettings):
    """What data-quality needs to know."""

    settle_seconds: float = Field(2.0, ge=0)
    """How long a curation waits for more batches: sources of one manifest make one version."""
    upkeep: Upkeep = Field(default_factory=Upkeep)

"""Settings of ingest."""

from pydantic import BaseModel, Field

from headrace_kit import ServiceSettings

_MIB = 1024 * 1024


class Capture(BaseModel):
    """When captured traffic goes from the database into the traffic table."""

    flush_rows: int = Field(500, ge=1)
    flush_seconds: float = Field(5.0, gt=0)
    keep_days: int = Field(35, ge=8)
    """How long the ids of captured requests are kept; longer than any topic keeps its records."""


class Settings(ServiceSettings):
    """What ingest needs to know."""

    max_file_bytes: int = Field(200 * _MIB, ge=1)
    capture: Capture = Field(default_factory=Capture)

"""Settings of ingest."""

from pydantic import BaseModel, Field

from headrace_kit import ServiceSettings
from headrace_kit.settings import Upkeep

_MIB = 1024 * 1024


class Capture(BaseModel):
    """When captured traffic goes from the database into the traffic table."""

    flush_rows: int = Field(500, ge=1)
    flush_seconds: float = Field(5.0, gt=0)
    judge_rows: int = Field(500, ge=1)
    judge_seconds: float = Field(30.0, ge=0)
    """Feedback goes into the traffic table when so much of it waits, or one for so long: each time
    rewrites the files that hold its requests. What is landed for training is never behind."""
    keep_days: int = Field(35, ge=8)
    """How long the ids of captured requests are kept; longer than any topic keeps its records."""
    unknown_hours: float = Field(1.0, gt=0)
    """How long traffic waits for its workload's manifest, which may be late; then it is dropped."""


class Sources(BaseModel):
    """Which files a manifest or a preview may name."""

    roots: tuple[str, ...] | None = None
    """Folders, or single files. Without a value: the current folder and the one that the storage
    root lies in, unless that is the file system's root; never the storage itself."""
    roots_file: str | None = None
    """A file with one more on each line, as JSON strings; read each time. The embedded stack's
    `up`, `apply` and `demo` write it."""


class Settings(ServiceSettings):
    """What ingest needs to know."""

    max_file_bytes: int = Field(200 * _MIB, ge=1)
    capture: Capture = Field(default_factory=Capture)
    sources: Sources = Field(default_factory=Sources)
    upkeep: Upkeep = Field(default_factory=Upkeep)

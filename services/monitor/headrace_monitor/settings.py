"""Settings of the monitor."""

from pydantic import BaseModel, Field

from headrace_kit import ServiceSettings


class Monitor(BaseModel):
    """What the console shows and how long things are kept."""

    services: dict[str, str] = Field(default_factory=dict)
    """/readyz URL of each service by name, as JSON; empty: the console shows no states."""
    mlflow_url: str | None = None
    traces_url: str | None = None
    window_seconds: int = Field(300, ge=10, le=3600)
    """The window of console, /metrics and /metrics-api/windows."""
    slo_window_seconds: int = Field(120, ge=10, le=3600)
    probe_seconds: float = Field(3.0, gt=0)
    canary_starving_seconds: float = Field(10.0, gt=0)
    """A step of a canary without any request of the candidate for so long raises an alert."""
    canary_quiet_seconds: float = Field(300.0, gt=0)
    """One that had requests raises it after so long without another."""
    keep_outcomes_hours: float = Field(24.0, gt=0)
    keep_outcomes: int = Field(200_000, ge=1000)
    """Of each workload."""
    keep_outcomes_in_all: int = Field(2_000_000, ge=1000)
    """Of all together; beyond it the workloads with the most lose some."""


class Settings(ServiceSettings):
    """The chassis' settings and the monitor's."""

    monitor: Monitor = Field(default_factory=Monitor)

"""Events of the monitor and of services that raise alerts."""

from typing import ClassVar, Literal

from headrace_events import topics
from headrace_events.envelope import EventData


class DriftDetected(EventData):
    """The input's distribution moved."""

    TYPE: ClassVar[str] = "drift.detected.v1"
    TOPIC: ClassVar[str] = topics.ALERTS

    statistic: Literal["psi"]
    value: float
    threshold: float
    reference_rows: int
    window_rows: int


class SloBreached(EventData):
    """A window missed an objective."""

    TYPE: ClassVar[str] = "slo.breached.v1"
    TOPIC: ClassVar[str] = topics.ALERTS

    objective: Literal["p95_ms", "error_rate"]
    value: float
    target: float
    model_version: str


class AlertRaised(EventData):
    """Somebody should look; `name` is stable, so that it can be resolved."""

    TYPE: ClassVar[str] = "alert.raised.v1"
    TOPIC: ClassVar[str] = topics.ALERTS

    name: str
    severity: Literal["warning", "critical"]
    summary: str


class AlertResolved(EventData):
    """The cause is gone."""

    TYPE: ClassVar[str] = "alert.resolved.v1"
    TOPIC: ClassVar[str] = topics.ALERTS

    name: str

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


class DeadLetterReplayed(EventData):
    """Somebody sent a dead letter back to the topic that it came from."""

    TYPE: ClassVar[str] = "dead_letter.replayed.v1"
    TOPIC: ClassVar[str] = topics.ALERTS

    replay_id: str
    """Also in the replayed record's header `headrace_replay_id`."""
    service: str
    """Whose dead letter it is."""
    partition: int
    offset: int
    """Where the dead letter lies in the service's dead-letter topic."""
    topic: str
    """Where it was sent."""
    error: str
    """Class of the error that made it a dead letter."""
    event_id: str | None = None
    event_type: str | None = None
    operator: str
    reason: str = ""

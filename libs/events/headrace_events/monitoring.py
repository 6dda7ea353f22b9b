"""Events of the monitor and of services that raise alerts."""

from datetime import datetime
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
    next_step: str = ""
    """What whoever looks does first, as a sentence."""


class AlertResolved(EventData):
    """The cause is gone."""

    TYPE: ClassVar[str] = "alert.resolved.v1"
    TOPIC: ClassVar[str] = topics.ALERTS

    name: str
    reason: str = ""
    """What ended it, where that is not plain from the name."""


class AlertAcknowledged(EventData):
    """A person looks at an open alert."""

    TYPE: ClassVar[str] = "alert.acknowledged.v1"
    TOPIC: ClassVar[str] = topics.ALERTS

    name: str
    reason: str


class AlertSilenced(EventData):
    """A person wants to hear nothing of an alert for a while; it ends by itself."""

    TYPE: ClassVar[str] = "alert.silenced.v1"
    TOPIC: ClassVar[str] = topics.ALERTS

    name: str
    until: datetime
    reason: str


class ServiceStarted(EventData):
    """A process of a service began; several of one instance in a short time are a crash loop."""

    TYPE: ClassVar[str] = "service.started.v1"
    TOPIC: ClassVar[str] = topics.ALERTS

    service: str
    instance: str
    """The replica's declared name, or a name for this one life."""
    declared: bool
    """Whether a restart has the same `instance`; otherwise starts cannot be told from replicas."""
    version: str


class DeadLetterWritten(EventData):
    """A service set a record aside that it could not handle."""

    TYPE: ClassVar[str] = "dead_letter.written.v1"
    TOPIC: ClassVar[str] = topics.ALERTS

    service: str
    partition: int
    offset: int
    """Where the dead letter lies in the service's dead-letter topic."""
    topic: str
    """Where the record came from."""
    error: str
    """Class of the error that made it a dead letter."""


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

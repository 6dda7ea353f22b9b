"""Who sends and who reads each event type: narrower than its topic, where a topic holds several.

`tests/contract` holds it against the handlers that each service registers.
"""

from dataclasses import dataclass

from headrace_events import topics
from headrace_events.envelope import EventData


@dataclass(frozen=True)
class Flow:
    """The services (and other parties) at both ends of one event type."""

    producers: tuple[str, ...]
    consumers: tuple[str, ...]


# Where no entry is, every producer and consumer of the topic sends and reads the type.
_PRODUCERS: dict[str, tuple[str, ...]] = {
    "drift.detected.v1": ("monitor",),
    "slo.breached.v1": ("monitor",),
    "alert.raised.v1": topics.BY_NAME[topics.JOBS].producers,  # every service
    "alert.resolved.v1": topics.BY_NAME[topics.JOBS].producers,
    "alert.acknowledged.v1": ("monitor",),
    "alert.silenced.v1": ("monitor",),
    "service.started.v1": topics.BY_NAME[topics.JOBS].producers,
    "dead_letter.written.v1": topics.BY_NAME[topics.JOBS].producers,
    "dead_letter.replayed.v1": ("stack",),
    "rollout.started.v1": ("serving",),
    "rollout.stepped.v1": ("serving",),
    "rollout.finished.v1": ("serving",),
    "rollback.requested.v1": ("registry", topics.OPERATORS),
    "promotion.requested.v1": ("registry", topics.OPERATORS),
    "retirement.requested.v1": ("registry", topics.OPERATORS),
}
_CONSUMERS: dict[str, tuple[str, ...]] = {
    "file.uploaded.v1": ("monitor",),
    "file.deleted.v1": ("monitor",),
    "records.rejected.v1": ("monitor",),
    "dataset.rejected.v1": ("monitor",),
    "training.started.v1": ("monitor",),
    "training.progressed.v1": ("monitor",),
    "training.failed.v1": ("monitor",),
    "model.registered.v1": ("evaluator", "serving", "monitor"),
    "model.approved.v1": ("serving", "monitor"),
    "model.rejected.v1": ("serving", "monitor"),
    "model.promoted.v1": ("serving", "monitor"),
    "model.rolled_back.v1": ("serving", "monitor"),
    "model.retired.v1": ("serving", "monitor"),
    "rollout.started.v1": ("monitor",),
    "rollout.stepped.v1": ("monitor",),
    "slo.breached.v1": ("monitor",),
    "alert.raised.v1": ("monitor",),
    "alert.resolved.v1": ("monitor",),
    "alert.acknowledged.v1": ("monitor",),
    "alert.silenced.v1": ("monitor",),
    "service.started.v1": ("monitor",),
    "dead_letter.written.v1": ("monitor",),
    "dead_letter.replayed.v1": ("monitor",),
}


def flow_of(model: type[EventData]) -> Flow:
    """Return who sends and who reads `model`."""
    topic = topics.BY_NAME[model.TOPIC]
    return Flow(
        producers=_PRODUCERS.get(model.TYPE, topic.producers),
        consumers=_CONSUMERS.get(model.TYPE, topic.consumers),
    )

"""Every event type there is."""

from headrace_events import (
    data,
    evaluation,
    inference,
    jobs,
    models,
    monitoring,
    rollout,
    training,
    workload,
)
from headrace_events.envelope import Event, EventData, RawEvent

_FAMILIES = (data, evaluation, inference, jobs, models, monitoring, rollout, training, workload)

EVENT_TYPES: dict[str, type[EventData]] = {
    thing.TYPE: thing
    for family in _FAMILIES
    for thing in vars(family).values()
    if isinstance(thing, type) and issubclass(thing, EventData) and thing is not EventData
}


def load(raw: RawEvent) -> Event[EventData] | None:
    """Return the typed event, or None for a type that this release does not know."""
    model = EVENT_TYPES.get(raw.type)
    return raw.load(model) if model else None

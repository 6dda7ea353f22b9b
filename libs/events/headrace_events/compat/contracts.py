"""The contracts of one release as documents: what its topic and schema files say."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from headrace_events.flows import Flow

Document = Mapping[str, Any]


@dataclass(frozen=True)
class Contracts:
    """Topics by name, JSON Schemas by event type."""

    topics: Mapping[str, Document]
    schemas: Mapping[str, Document]

    def flow(self, event_type: str) -> Flow | None:
        """Return who sends and reads a type; None when the release does not have it."""
        for topic in self.topics.values():
            if event_type not in topic["events"]:
                continue
            events = topic["events"]
            # The first releases name the parties of a topic only.
            ends = events[event_type] if isinstance(events, Mapping) else topic
            return Flow(tuple(ends["producers"]), tuple(ends["consumers"]))
        return None


def present() -> Contracts:
    """Return the contracts that the code has."""
    from headrace_events.catalogue import EVENT_TYPES
    from headrace_events.export import describe_topic, schema_of
    from headrace_events.topics import CATALOGUE

    return Contracts(
        topics={topic.name: describe_topic(topic) for topic in CATALOGUE},
        schemas={name: schema_of(model) for name, model in EVENT_TYPES.items()},
    )

"""Event models, envelope and topic catalogue of Headrace."""

from headrace_events.cloudevents import parse
from headrace_events.envelope import Event, EventData, InvalidEvent, RawEvent, WrongTopic
from headrace_events.ids import derived_id, new_id

__all__ = [
    "Event",
    "EventData",
    "InvalidEvent",
    "RawEvent",
    "WrongTopic",
    "derived_id",
    "new_id",
    "parse",
]

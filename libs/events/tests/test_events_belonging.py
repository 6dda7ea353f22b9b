"""An event belongs on its type's topics, and a manifest to the workload of its event."""

from typing import Any

import pytest

from headrace_events import Event, InvalidEvent, WrongTopic, parse, topics
from headrace_events.catalogue import EVENT_TYPES
from headrace_events.examples import all_examples
from headrace_events.workload import WorkloadApplied


@pytest.mark.parametrize("name", sorted(set(all_examples()) & set(EVENT_TYPES)))
def test_every_type_is_taken_from_its_own_topics_and_no_other(name: str) -> None:
    data = all_examples()[name]
    workload = data.manifest.metadata.name if isinstance(data, WorkloadApplied) else "w"
    event: Event[Any] = Event.new(data, source="t", workload=workload)
    model = EVENT_TYPES[name]
    for topic in topics.BY_NAME:
        raw = parse(event.headers(), event.body())
        if topic in model.topics():
            assert raw.load(model, topic).data == data
        else:
            with pytest.raises(WrongTopic):
                raw.load(model, topic)


def test_a_manifest_speaks_for_the_workload_of_its_event_only() -> None:
    manifest: Any = all_examples()[WorkloadApplied.TYPE]
    own = manifest.manifest.metadata.name
    for workload in (own, "another", ""):
        event: Event[Any] = Event.new(manifest, source="t", workload=workload, subject="s")
        raw = parse(event.headers(), event.body())
        if workload == own:
            assert raw.load(WorkloadApplied).workload == own
        else:
            with pytest.raises(InvalidEvent, match="another workload"):
                raw.load(WorkloadApplied)


def test_headers_of_others_are_not_even_decoded() -> None:
    example = next(iter(all_examples().values()))
    event: Event[Any] = Event.new(example, source="t", workload="w")
    foreign: dict[str, Any] = {
        **event.headers(),
        "app": b"\xff",
        "none": None,
        "ce_causationid": None,
        "tracestate": b"\x80",
        "traceparent": b"\xff",
    }
    attributes = parse(foreign, event.body()).attributes
    assert {"causationid", "tracestate", "traceparent"}.isdisjoint(attributes)
    with pytest.raises(InvalidEvent, match="UTF-8"):
        parse({**foreign, "ce_workload": b"\xff"}, event.body())


def test_nesting_without_end_is_no_event_and_no_crash() -> None:
    headers = {"content-type": "application/cloudevents+json"}
    with pytest.raises(InvalidEvent):
        parse(headers, b"[" * 200_000)
    with pytest.raises(InvalidEvent):
        parse(headers, b'{"a":' * 100_000)

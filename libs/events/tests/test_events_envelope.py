"""The envelope against CloudEvents 1.0: Kafka binary and structured mode, and what is refused."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from headrace_events import Event, InvalidEvent, parse
from headrace_events.catalogue import EVENT_TYPES, load
from headrace_events.envelope import EventData
from headrace_events.examples import all_examples
from headrace_events.inference import FeedbackGiven, InferenceRequested, Message

TRACEPARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
SECRET = "my card number is 4111 1111 1111 1111"


def _event(data: EventData, **overrides: Any) -> Event[EventData]:
    return Event.new(
        data,
        source="shop",
        workload="support-intents",
        subject="019a7c31",
        traceparent=TRACEPARENT,
        **overrides,
    )


def _structured(event: Event[EventData], **changes: Any) -> tuple[dict[str, bytes], bytes]:
    document = {
        "specversion": "1.0",
        "id": event.id,
        "source": event.source,
        "type": event.type,
        "subject": event.subject,
        "time": event.time.isoformat(),
        "workload": event.workload,
        "datacontenttype": "application/json",
        "data": json.loads(event.body()),
    } | changes
    headers = {
        "content-type": b"application/cloudevents+json; charset=UTF-8",
        "traceparent": TRACEPARENT.encode(),
    }
    return headers, json.dumps(document).encode()


@pytest.mark.parametrize("name", sorted(EVENT_TYPES))
def test_binary_mode_round_trip(name: str) -> None:
    deadline = datetime(2026, 11, 24, 4, 0, tzinfo=UTC)
    event = _event(all_examples()[name], deadline=deadline)
    headers = {k: v.encode() for k, v in event.headers().items()}
    assert load(parse(headers, event.body())) == event


@pytest.mark.parametrize("name", sorted(EVENT_TYPES))
def test_structured_mode_round_trip(name: str) -> None:
    event = _event(all_examples()[name])
    assert load(parse(*_structured(event))) == event


def test_binary_headers_are_the_kafka_binding() -> None:
    event = _event(all_examples()["feedback.given.v1"])
    headers = event.headers()
    assert headers["content-type"] == "application/json"
    assert headers["ce_specversion"] == "1.0"
    assert headers["ce_id"] == event.id
    assert headers["ce_source"] == "/headrace/shop"
    assert headers["ce_type"] == "feedback.given.v1"
    assert datetime.fromisoformat(headers["ce_time"]).tzinfo is not None
    # Extensions are lower-case letters and digits; W3C trace headers go without the prefix.
    names = [k for k in headers if k.startswith("ce_")]
    assert all(k[3:].isalnum() and k == k.lower() for k in names)
    assert headers["traceparent"] == TRACEPARENT


def test_header_names_and_media_types_are_case_insensitive() -> None:
    event = _event(all_examples()["feedback.given.v1"])
    upper = {k.upper(): v for k, v in event.headers().items()}
    assert load(parse(upper, event.body())) == event
    headers, body = _structured(event)
    headers["content-type"] = b"Application/CloudEvents+JSON"
    assert load(parse(headers, body)) == event


def test_unknown_extensions_and_fields_of_a_newer_producer_are_ignored() -> None:
    event = _event(all_examples()["feedback.given.v1"])
    headers = event.headers() | {"ce_newextension": "1"}
    body = json.dumps(json.loads(event.body()) | {"new_field": 1}).encode()
    assert load(parse(headers, body)) == event


def test_unknown_type_is_no_error() -> None:
    event = _event(all_examples()["feedback.given.v1"])
    assert load(parse(event.headers() | {"ce_type": "feedback.given.v9"}, b"{}")) is None


@pytest.mark.parametrize("name", ["id", "source", "type", "specversion"])
def test_missing_required_attribute_is_named(name: str) -> None:
    event = _event(all_examples()["feedback.given.v1"])
    headers = event.headers()
    del headers[f"ce_{name}"]
    with pytest.raises(InvalidEvent, match=name):
        parse(headers, event.body())
    with pytest.raises(InvalidEvent, match=name):
        parse(*_structured(event, **{name: None}))


@pytest.mark.parametrize(
    ("headers", "value"),
    [
        ({}, b""),
        ({}, None),
        ({"ce_id": b"\xff\xfe"}, b"{}"),
        ({"content-type": b"application/cloudevents+json"}, b"not json"),
        ({"content-type": b"application/cloudevents+json"}, b"\xff"),
        ({"content-type": b"application/cloudevents+json"}, b"[]"),
        ({"content-type": b"application/cloudevents+json"}, None),
        ({"content-type": b"application/cloudevents-batch+json"}, b"[]"),
    ],
)
def test_what_is_no_event_is_refused(headers: dict[str, bytes], value: bytes | None) -> None:
    with pytest.raises(InvalidEvent):
        parse(headers, value)


def test_wrong_versions_and_attribute_types_are_refused() -> None:
    event = _event(all_examples()["feedback.given.v1"])
    with pytest.raises(InvalidEvent, match="specversion"):
        parse(event.headers() | {"ce_specversion": "0.3"}, event.body())
    with pytest.raises(InvalidEvent, match="type"):
        parse(*_structured(event, type=7))
    with pytest.raises(InvalidEvent, match="body: model_type"):
        load(parse(*_structured(event, data="text")))
    with pytest.raises(InvalidEvent, match="time is not an RFC 3339"):
        parse(event.headers() | {"ce_time": "yesterday"}, event.body())
    with pytest.raises(InvalidEvent, match="deadline is not an RFC 3339"):
        parse(event.headers() | {"ce_deadline": "0001-01-01T00:00:00+14:00"}, event.body())


@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"request_id": "r", "messages": [{"role": "user", "content": [SECRET]}]}, "content"),
        ({"request_id": "r", "messages": [{"role": SECRET, "content": "x"}]}, "role"),
        ({"request_id": "r", "messages": SECRET}, "messages"),
        ({"messages": [{"role": "user", "content": SECRET}]}, "request_id: missing"),
        ({"request_id": "r", "messages": [], "key": SECRET}, "messages: too_short"),
    ],
)
def test_an_invalid_payload_names_fields_and_never_quotes_values(
    body: dict[str, Any], named: str
) -> None:
    data = InferenceRequested(request_id="r", messages=(Message(role="user", content="x"),))
    raw = parse(_event(data).headers(), json.dumps(body).encode())
    with pytest.raises(InvalidEvent) as caught:
        raw.load(InferenceRequested)
    assert named in str(caught.value)
    assert "4111" not in str(caught.value)
    assert "4111" not in repr(raw)
    # A traceback prints the chain: pydantic's own error, which quotes the input, is not in it.
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__


def test_broken_json_is_named_without_its_text() -> None:
    event = _event(all_examples()["feedback.given.v1"])
    raw = parse(event.headers(), b'{"request_id": "' + SECRET.encode())
    with pytest.raises(InvalidEvent, match="json_invalid") as caught:
        raw.load(FeedbackGiven)
    assert "4111" not in str(caught.value)


def test_an_outcome_inherits_trace_and_deadline_and_names_its_cause() -> None:
    deadline = datetime(2026, 11, 24, 4, 0, tzinfo=UTC)
    cause = _event(all_examples()["inference.requested.v1"], deadline=deadline)
    outcome = Event[EventData].new(
        all_examples()["inference.completed.v1"],
        source="guardrails",
        workload=cause.workload,
        cause=cause,
    )
    assert outcome.causationid == cause.id
    assert outcome.deadline == deadline
    assert outcome.traceparent == TRACEPARENT
    again = Event[EventData].new(
        outcome.data, source="guardrails", workload=cause.workload, cause=cause
    )
    assert again.id == outcome.id

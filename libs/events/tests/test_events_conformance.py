"""The cases of the CloudEvents project's conformance suite, and what the Kafka binding adds.

Scenarios: github.com/cloudevents/conformance, features/kafka-protocol-binding.feature and
format/json/{valid,invalid}-events.json (Apache-2.0), said again in our own tests.
"""

import base64
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from headrace_events import Event, EventData, InvalidEvent, parse
from headrace_events.catalogue import load
from headrace_events.examples import all_examples
from headrace_events.inference import FeedbackGiven

STRUCTURED = {"content-type": b"application/cloudevents+json"}
FEEDBACK = all_examples()["feedback.given.v1"]


def _structured(**changes: Any) -> tuple[dict[str, bytes], bytes]:
    """Return a structured event of a type that nobody knows; None takes an attribute away."""
    document = {
        "specversion": "1.0",
        "id": "minimal",
        "type": "io.cloudevents.test",
        "source": "https://cloudevents.io",
    } | changes
    absent = [name for name, value in document.items() if value is ...]
    for name in absent:
        del document[name]
    return STRUCTURED, json.dumps(document).encode()


def _event(**overrides: Any) -> Event[EventData]:
    return Event.new(FEEDBACK, source="shop", workload="support-intents", **overrides)


# -- features/kafka-protocol-binding.feature -------------------------------------------------------

_TIME = datetime(2018, 4, 5, 3, 56, 24, tzinfo=UTC)


def _is_the_hello_event(raw: Any) -> None:
    assert raw.attributes["id"] == "1234-1234-1234"
    assert raw.type == "com.example.someevent"
    assert raw.attributes["source"] == "/mycontext/subcontext"
    assert datetime.fromisoformat(raw.attributes["time"]) == _TIME
    assert raw.datacontenttype == "application/json"


def test_binary_content_mode() -> None:
    headers = {
        "ce_specversion": b"1.0",
        "ce_id": b"1234-1234-1234",
        "ce_type": b"com.example.someevent",
        "ce_source": b"/mycontext/subcontext",
        "ce_time": b"2018-04-05T03:56:24Z",
        "content-type": b"application/json",
    }
    raw = parse(headers, b'{"message": "Hello World!"}')
    _is_the_hello_event(raw)
    assert json.loads(raw.payload) == {"message": "Hello World!"}


@pytest.mark.parametrize(
    "content_type",
    [
        "application/cloudevents+json",
        "application/cloudevents+json; charset=utf-8",
        "application/cloudevents+json;charset=UTF-8",
        "Application/CloudEvents+JSON",
    ],
)
def test_structured_content_mode(content_type: str) -> None:
    document = {
        "specversion": "1.0",
        "type": "com.example.someevent",
        "time": "2018-04-05T03:56:24Z",
        "id": "1234-1234-1234",
        "source": "/mycontext/subcontext",
        "datacontenttype": "application/json",
        "data": {"message": "Hello World!"},
    }
    raw = parse({"content-type": content_type.encode()}, json.dumps(document).encode())
    _is_the_hello_event(raw)
    assert raw.payload == {"message": "Hello World!"}


# -- format/json/valid-events.json -----------------------------------------------------------------

VALID: dict[str, dict[str, Any]] = {
    "minimal": {},
    "null for optional": dict.fromkeys(("datacontenttype", "dataschema", "subject", "time")),
    "all core attributes": {
        "datacontenttype": "text/plain",
        "dataschema": "https://cloudevents.io/dataschema",
        "subject": "tests",
        "time": "2018-04-05T17:31:00Z",
    },
    "time UTC": {"time": "2018-04-05T17:31:00Z"},
    "time in nanoseconds": {"time": "2018-04-05T17:31:00.000000000Z"},
    "time with a positive offset": {"time": "2018-04-05T18:31:00+01:00"},
    "time with a negative offset": {"time": "2018-04-05T16:31:00-01:00"},
    "relative source": {"source": "#fragment"},
    "text data": {"datacontenttype": "text/plain", "data": "Simple text"},
    "all extension types": {
        "extinteger": 10,
        "extboolean": True,
        "extstring": "text",
        "exturi": "https://cloudevents.io",
        "exturiref": "//authority/path",
        "exttimestamp": "2023-03-31T15:12:00Z",
        "extbinary": "TWE=",
    },
}


@pytest.mark.parametrize("case", VALID)
def test_valid_events_are_read_and_an_unknown_type_is_passed_over(case: str) -> None:
    raw = parse(*_structured(**VALID[case]))
    assert raw.type == "io.cloudevents.test"
    assert load(raw) is None


@pytest.mark.parametrize("case", [c for c in VALID if c.startswith("time")])
def test_every_form_of_a_time_is_the_same_moment(case: str) -> None:
    data = json.loads(FEEDBACK.model_dump_json())
    event = load(parse(*_structured(type="feedback.given.v1", data=data, **VALID[case])))
    assert event is not None
    assert event.time == datetime(2018, 4, 5, 17, 31, tzinfo=UTC)


# -- format/json/invalid-events.json ---------------------------------------------------------------

INVALID: dict[str, dict[str, Any]] = {
    "no specversion": {"specversion": ...},
    "no id": {"id": ...},
    "no type": {"type": ...},
    "no source": {"source": ...},
    "time garbage": {"time": "lunchtime"},
    "time to the minute": {"time": "2018-04-05T18:31Z"},
    "time without offset": {"time": "2018-04-05T18:31:00"},
    "time offset X": {"time": "2018-04-05T18:31:00X"},
    "time offset out of range": {"time": "2018-04-05T18:31:00+25:00"},
    "time offset no integer": {"time": "2018-04-05T18:31:00+xx:00"},
    "time offset of hours only": {"time": "2018-04-05T18:31:00+05"},
    "time as a number": {"time": 1_522_953_060},
    "time of no day": {"time": "2018-02-30T18:31:00Z"},
    "deadline garbage": {"deadline": "soon"},
    "empty id": {"id": ""},
    "empty type": {"type": ""},
    "empty source": {"source": ""},
    "empty specversion": {"specversion": ""},
    "unknown specversion": {"specversion": "0.9"},
    "data content type of no media type": {"datacontenttype": "xyz"},
    "empty data content type": {"datacontenttype": ""},
    "empty data schema": {"dataschema": ""},
    "empty subject": {"subject": ""},
    "numeric id": {"id": 25},
    "object id": {"id": {"xyz": "abc"}},
    "capitalised extension": {"MyExtension": "bad"},
    "punctuated extension": {"my.extension": "bad"},
    "fractional extension": {"myextension": 1.5},
    "object extension": {"myextension": {"a": 1}},
    "both data and data_base64": {"data": "text", "data_base64": "eyAieHl6IjogMTIzIH0="},
    "data_base64 that is none": {"data_base64": "***"},
    "control characters": {"subject": "a\u0000b"},
    "half a surrogate pair": {"id": "\ud800"},
}


@pytest.mark.parametrize("case", INVALID)
def test_invalid_events_are_refused(case: str) -> None:
    with pytest.raises(InvalidEvent) as caught:
        parse(*_structured(**INVALID[case]))
    for value in INVALID[case].values():
        if isinstance(value, str) and len(value) > 3 and "time" not in case:
            assert value not in str(caught.value)


# -- what the binding says beside these ------------------------------------------------------------


@pytest.mark.parametrize(
    "content_type",
    [
        "application/cloudevents+avro",
        "application/cloudevents",
        "application/cloudevents-batch+json",
    ],
)
def test_other_event_formats_are_refused_by_name(content_type: str) -> None:
    event = _event()
    # Headers of the binary mode may stand beside it (3.3.3); they do not make it binary.
    with pytest.raises(InvalidEvent, match=r"application/cloudevents\+json"):
        parse(event.headers() | {"content-type": content_type}, event.body())


def test_in_structured_mode_the_document_counts_not_the_headers() -> None:
    data = json.loads(FEEDBACK.model_dump_json())
    headers, body = _structured(type="feedback.given.v1", data=data, workload="inside")
    raw = parse(headers | {"ce_id": b"outside", "ce_workload": b"outside"}, body)
    assert raw.attributes["id"] == "minimal"
    assert raw.attributes["workload"] == "inside"


@pytest.mark.parametrize("name", ["id", "source", "type", "specversion"])
@pytest.mark.parametrize("value", [None, b""])
def test_binary_mode_needs_the_required_attributes(name: str, value: bytes | None) -> None:
    headers = {k: v.encode() for k, v in _event().headers().items()}
    del headers[f"ce_{name}"]
    if value is not None:
        headers[f"ce_{name}"] = value
    with pytest.raises(InvalidEvent, match=name):
        parse(headers, _event().body())


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("ce_time", "2018-04-05T18:31Z"),
        ("ce_time", "1522953060"),
        ("ce_deadline", "2018-04-05 18:31:00"),
        ("ce_my_extension", "x"),
        ("ce_subject", "a\nb"),
        ("ce_specversion", "0.3"),
    ],
)
def test_binary_mode_refuses_invalid_attributes(header: str, value: str) -> None:
    with pytest.raises(InvalidEvent):
        parse(_event().headers() | {header: value}, _event().body())


def test_header_values_are_utf8_and_not_percent_encoded() -> None:
    subject = 'kártya%20№7 "50 %"'
    event = _event(subject=subject)
    assert event.headers()["ce_subject"] == subject
    headers = {k: v.encode() for k, v in event.headers().items()}
    loaded = load(parse(headers, event.body()))
    assert loaded is not None
    assert loaded.subject == subject


def test_headers_without_the_prefix_are_no_attributes() -> None:
    event = _event()
    extra = {"id": "x", "ceid": "x", "subject": "x", "workload": "x", "my-own.header": "\x00"}
    assert load(parse(event.headers() | extra, event.body())) == event


@pytest.mark.parametrize(
    "content_type",
    [
        None,
        "application/json",
        "application/json; charset=utf-8",
        "APPLICATION/JSON",
        "application/vnd.shop+json",
    ],
)
def test_json_of_any_name_is_read(content_type: str | None) -> None:
    event = _event()
    headers = event.headers()
    del headers["content-type"]
    if content_type:
        headers["content-type"] = content_type
    assert load(parse(headers, event.body())) == event


@pytest.mark.parametrize("content_type", ["application/avro", "text/plain", "application/jsonx"])
def test_data_that_is_not_json_is_refused(content_type: str) -> None:
    event = _event()
    raw = parse(event.headers() | {"content-type": content_type}, event.body())
    with pytest.raises(InvalidEvent, match="datacontenttype"):
        raw.load(FeedbackGiven)


def test_content_type_is_the_data_content_type() -> None:
    event = _event()
    raw = parse(event.headers() | {"content-type": "application/vnd.shop+json"}, event.body())
    assert raw.datacontenttype == "application/vnd.shop+json"
    with pytest.raises(InvalidEvent, match="media type"):
        parse(event.headers() | {"content-type": "json"}, event.body())


def test_data_in_base64_is_read() -> None:
    encoded = base64.b64encode(FEEDBACK.model_dump_json().encode()).decode()
    event = load(parse(*_structured(type="feedback.given.v1", data_base64=encoded)))
    assert event is not None
    assert event.data == FEEDBACK


@pytest.mark.parametrize("value", [None, b""])
def test_an_event_without_data_is_an_event_but_none_of_our_types(value: bytes | None) -> None:
    raw = parse(_event().headers(), value)
    with pytest.raises(InvalidEvent, match="body"):
        raw.load(FeedbackGiven)
    with pytest.raises(InvalidEvent, match="body"):
        parse(*_structured(type="feedback.given.v1")).load(FeedbackGiven)


def test_trace_context_comes_from_the_headers_or_from_the_extension() -> None:
    inside, outside = (f"00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b{n}-01" for n in "78")
    headers, body = _structured(traceparent=inside, tracestate="shop=1")
    raw = parse(headers, body)
    assert (raw.attributes["traceparent"], raw.attributes["tracestate"]) == (inside, "shop=1")
    raw = parse(headers | {"traceparent": outside.encode()}, body)
    assert raw.attributes["traceparent"] == outside


def test_what_is_emitted_has_no_empty_attribute() -> None:
    event = Event.new(FEEDBACK, source="shop", workload="")
    headers = event.headers()
    assert all(headers.values())
    assert load(parse(headers, event.body())) == event

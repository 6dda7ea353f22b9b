"""Our spans say what OpenTelemetry's would: parents, flags, and their encoding field by field."""

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry import trace
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.trace import SpanContext, SpanKind, StatusCode, TraceFlags
from opentelemetry.trace.span import TraceState

from headrace_kit.otlp import encode
from headrace_kit.span_exporter import SpanExporter
from headrace_kit.spans import RateLimitedTracer, RecordedSpan
from headrace_kit.telemetry import context_of, traceparent_of

PARENT = "00-" + "ab" * 16 + "-" + "cd" * 8 + "-01"
UNSAMPLED = PARENT[:-2] + "00"


@pytest.fixture
def ended() -> list[RecordedSpan]:
    return []


@pytest.fixture
def tracer(ended: list[RecordedSpan]) -> RateLimitedTracer:
    return RateLimitedTracer(1.0, {"headrace.service": "test"}, ended.append, lambda: None)


def test_a_span_hangs_below_its_parent_and_is_exported_once(
    tracer: RateLimitedTracer, ended: list[RecordedSpan]
) -> None:
    span = tracer.start_span("work", context_of(PARENT), SpanKind.CONSUMER, {"a": 1})
    span.end()
    span.end()
    (found,) = ended
    assert found.parent_id == int("cd" * 8, 16)
    assert found.context.trace_id == int("ab" * 16, 16)
    assert found.attributes == {"a": 1, "headrace.service": "test"}
    header = traceparent_of(span)
    assert header is not None
    assert header.startswith("00-" + "ab" * 16)
    assert header.endswith("-01")


def test_what_the_sender_did_not_sample_is_not_recorded_but_flows_on(
    tracer: RateLimitedTracer, ended: list[RecordedSpan]
) -> None:
    span = tracer.start_span("work", context_of(UNSAMPLED))
    span.end()
    assert not ended
    assert (traceparent_of(span) or "").startswith(UNSAMPLED[:36])
    assert (traceparent_of(span) or "").endswith("-00")


def test_roots_are_recorded_as_far_as_the_rate_allows(
    tracer: RateLimitedTracer, ended: list[RecordedSpan]
) -> None:
    for _ in range(50):
        tracer.start_span("root", trace.Context()).end()
    assert 1 <= len(ended) <= 2


def test_an_exception_leaves_its_class_and_not_its_message(
    tracer: RateLimitedTracer, ended: list[RecordedSpan]
) -> None:
    with pytest.raises(ValueError, match="user"), tracer.start_as_current_span("work"):
        raise ValueError("what the user wrote")
    assert (ended[0].status, "user" in ended[0].status_text) == (StatusCode.ERROR, False)


@pytest.mark.parametrize(
    "header", [None, "", "nonsense", "00-" + "0" * 32 + "-" + "c" * 16 + "-01"]
)
def test_a_broken_header_starts_a_trace_of_its_own(header: str | None) -> None:
    assert not context_of(header)


VALUES = st.one_of(
    st.text(max_size=40), st.booleans(), st.floats(allow_nan=False),
    st.integers(-(2**63), 2**63 - 1), st.lists(st.text(max_size=5), max_size=3),
)  # fmt: skip


@given(
    st.integers(1, 2**128 - 1),
    st.integers(1, 2**64 - 1),
    st.integers(0, 2**64 - 1),
    st.text(min_size=1, max_size=40),
    st.dictionaries(st.text(min_size=1, max_size=8), VALUES, max_size=4),
    st.sampled_from(SpanKind),
    st.sampled_from(StatusCode),
    st.booleans(),
)
def test_the_encoding_is_what_the_generated_classes_read(
    trace_id: int, span_id: int, parent: int, name: str, attributes: dict[str, Any],
    kind: SpanKind, status: StatusCode, state: bool,
) -> None:  # fmt: skip
    trace_state = TraceState([("a", "b")]) if state else None
    context = SpanContext(trace_id, span_id, False, TraceFlags(1), trace_state)
    span = RecordedSpan(name, context, parent, kind, attributes, lambda _: None)
    span.end()
    span.set_status(status, "why" if status is StatusCode.ERROR else None)
    read = ExportTraceServiceRequest.FromString(encode([span, span], {"service.name": "x"}))
    (resource,) = read.resource_spans
    assert resource.resource.attributes[0].value.string_value == "x"
    assert resource.scope_spans[0].scope.name == "headrace"
    first, again = resource.scope_spans[0].spans
    assert first == again
    assert first.trace_id == trace_id.to_bytes(16, "big")
    assert first.span_id == span_id.to_bytes(8, "big")
    assert first.parent_span_id == (parent.to_bytes(8, "big") if parent else b"")
    assert first.name == name
    assert first.kind == kind.value + 1
    assert (first.start_time_unix_nano, first.end_time_unix_nano) == (span.start_ns, span.end_ns)
    assert (first.status.code, first.flags) == (status.value, 1)
    assert first.trace_state == ("a=b" if state else "")
    assert {a.key: _plain(a.value) for a in first.attributes} == attributes


def _plain(value: Any) -> Any:
    which = value.WhichOneof("value")
    if which == "array_value":
        return [_plain(item) for item in value.array_value.values]
    return getattr(value, which)


class Sink(BaseHTTPRequestHandler):
    """Refuses the first request and takes the rest."""

    bodies: list[bytes]
    refusals = 1

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        refused = type(self).refusals > 0
        type(self).refusals -= 1
        if not refused:
            self.bodies.append(body)
        self.send_response(503 if refused else 200)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Be quiet."""


def test_the_exporter_tries_again_and_sends_what_is_left_at_the_end(
    tracer: RateLimitedTracer,
) -> None:
    Sink.bodies = []
    server = HTTPServer(("127.0.0.1", 0), Sink)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/v1/traces"
    exporter = SpanExporter(url, {}, {"service.name": "x"})
    tracer._on_end = exporter.take
    try:
        for _ in range(3):
            tracer.start_span("work", context_of(PARENT)).end()
        for _ in range(100):
            if Sink.bodies:
                break
            threading.Event().wait(0.1)
        tracer.start_span("last", context_of(PARENT)).end()
        exporter.shutdown()
    finally:
        server.shutdown()
    read = [ExportTraceServiceRequest.FromString(body) for body in Sink.bodies]
    names = [s.name for r in read for s in r.resource_spans[0].scope_spans[0].spans]
    assert names == ["work", "work", "work", "last"]

"""Traces: W3C context through Kafka headers, head-sampled by rate, exported by OTLP."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from aiokafka import ConsumerRecord
from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.trace import (
    NonRecordingSpan,
    Span,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)
from opentelemetry.trace.span import TraceState

from headrace_events import Event, RawEvent
from headrace_kit.metrics import TRACES_UNSAMPLED
from headrace_kit.settings import Telemetry
from headrace_kit.spans import RateLimitedTracer, RateLimitedTracerProvider

_TRACER = trace.get_tracer("headrace")
_ours: RateLimitedTracer | None = None
_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?")
_EMPTY = Context()

# OpenTelemetry's messaging conventions; kept here because the names still move.
SYSTEM = "messaging.system"
OPERATION = "messaging.operation.name"
OPERATION_TYPE = "messaging.operation.type"
DESTINATION = "messaging.destination.name"
PARTITION = "messaging.destination.partition.id"
GROUP = "messaging.consumer.group.name"
OFFSET = "messaging.kafka.offset"
EVENT_ID = "cloudevents.event_id"
EVENT_TYPE = "cloudevents.event_type"
WORKLOAD = "headrace.workload"
SERVICE = "headrace.service"


def configure(service: str, version: str, settings: Telemetry) -> RateLimitedTracerProvider | None:
    """Install the tracer provider; without an endpoint spans stay unrecorded but context flows."""
    if not settings.otlp_endpoint:
        return None
    # Imported here: the exporter brings `requests`, of no use without an endpoint.
    from headrace_kit.span_exporter import SpanExporter

    pairs = (part.split("=", 1) for part in settings.otlp_headers.split(",") if "=" in part)
    exporter = SpanExporter(
        f"{settings.otlp_endpoint.rstrip('/')}/v1/traces",
        {key.strip(): value.strip() for key, value in pairs},
        {"service.name": service, "service.version": version, "telemetry.sdk.language": "python"},
    )
    tracer = RateLimitedTracer(
        settings.traces_per_second,
        # On each span as well: MLflow's trace UI does not show resource attributes.
        {SERVICE: service},
        exporter.take,
        TRACES_UNSAMPLED.inc,
    )
    provider = RateLimitedTracerProvider(tracer, exporter.shutdown)
    trace.set_tracer_provider(provider)
    global _ours  # noqa: PLW0603 - as the API keeps its provider
    _ours = tracer
    return provider


def context_of(traceparent: str | None, tracestate: str | None = None) -> Context:
    """Return the context that a W3C header pair describes (empty when there is none)."""
    found = _read(traceparent)
    if found is None:
        return _EMPTY
    trace_id, span_id, sampled = found
    flags = TraceFlags(TraceFlags.SAMPLED if sampled else TraceFlags.DEFAULT)
    parent = SpanContext(trace_id, span_id, True, flags, _state(tracestate))
    return set_span_in_context(NonRecordingSpan(parent), _EMPTY)


def _read(traceparent: str | None) -> tuple[int, int, bool] | None:
    """Return trace id, span id and the sampled flag of a W3C header, None if it is not valid."""
    found = _TRACEPARENT.fullmatch(traceparent) if traceparent else None
    if found is None:
        return None
    trace_id, span_id, flags = found.groups()
    ids = int(trace_id, 16), int(span_id, 16)
    return (*ids, bool(int(flags, 16) & TraceFlags.SAMPLED)) if all(ids) else None


def _state(tracestate: str | None) -> TraceState | None:
    return TraceState.from_header([tracestate]) if tracestate else None


def _start_below(
    name: str,
    kind: SpanKind,
    traceparent: str | None,
    tracestate: str | None,
    attributes: dict[str, Any],
) -> Span:
    """Start a span below a W3C header; the API's way there makes two objects more for each."""
    if _ours is None:
        return _TRACER.start_span(name, context_of(traceparent, tracestate), kind, attributes)
    parent = _read(traceparent)
    if parent is None:
        return _ours.start_root(name, kind, attributes)
    return _ours.start_below(name, *parent, _state(tracestate), kind, attributes)


def traceparent_of(span: Span) -> str | None:
    """Return the W3C header that makes `span` the parent of what follows."""
    context = span.get_span_context()
    if not context.is_valid:
        return None
    return f"00-{context.trace_id:032x}-{context.span_id:016x}-{int(context.trace_flags):02x}"


def current_traceparent() -> str | None:
    """Return the traceparent of the current span, if there is one."""
    return traceparent_of(trace.get_current_span())


def trace_id_of(traceparent: str | None) -> str | None:
    """Return the trace id (32 hex digits) of a traceparent."""
    parts = (traceparent or "").split("-")
    return parts[1] if len(parts) == 4 else None


def start_inner_span(name: str, traceparent: str | None, attributes: dict[str, Any]) -> Span:
    """Start the span of work within a service, below a W3C header; the caller ends it."""
    return _start_below(name, SpanKind.INTERNAL, traceparent, None, attributes)


def start_consumer_span(raw: RawEvent, record: "ConsumerRecord[Any, Any]", group: str) -> Span:
    """Start the span of handling one record, below its sender's."""
    known = raw.attributes
    return _start_below(
        f"process {record.topic}",
        SpanKind.CONSUMER,
        known.get("traceparent"),
        known.get("tracestate"),
        {
            SYSTEM: "kafka",
            OPERATION: "process",
            OPERATION_TYPE: "process",
            DESTINATION: record.topic,
            PARTITION: str(record.partition),
            GROUP: group,
            OFFSET: record.offset,
            EVENT_ID: known["id"],
            EVENT_TYPE: raw.type,
            WORKLOAD: known["workload"],
        },
    )


def start_producer_span(event: Event[Any]) -> Span:
    """Start the span of sending one event, below the span that the event was made in."""
    return _start_below(
        f"send {event.topic}",
        SpanKind.PRODUCER,
        event.traceparent,
        event.tracestate,
        {
            SYSTEM: "kafka",
            OPERATION: "send",
            OPERATION_TYPE: "send",
            DESTINATION: event.topic,
            EVENT_ID: event.id,
            EVENT_TYPE: event.type,
            WORKLOAD: event.workload,
        },
    )


def fail(span: Span, error: BaseException) -> None:
    """End a span with the class of an error; its message may quote users."""
    span.set_status(Status(StatusCode.ERROR, type(error).__name__))
    span.end()


@contextmanager
def span(
    name: str,
    *,
    kind: SpanKind = SpanKind.INTERNAL,
    parent: Context | None = None,
    attributes: Mapping[str, Any] | None = None,
) -> Iterator[Span]:
    """Open a span; an error sets its status by class name only, for messages may quote users."""
    opened = _TRACER.start_span(name, parent, kind, dict(attributes or {}))
    token = otel_context.attach(trace.set_span_in_context(opened, parent))
    try:
        yield opened
    except BaseException as error:
        opened.set_status(Status(StatusCode.ERROR, type(error).__name__))
        raise
    finally:
        otel_context.detach(token)
        opened.end()

"""Traces: W3C context through Kafka headers, head-sampled by rate, exported by OTLP."""

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import Span as SdkSpan
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import Decision, ParentBased, Sampler, SamplingResult
from opentelemetry.trace import Link, Span, SpanKind, Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from opentelemetry.trace.span import TraceState
from opentelemetry.util.types import Attributes

from headrace_kit.metrics import TRACES_UNSAMPLED
from headrace_kit.settings import Telemetry

_PROPAGATOR = TraceContextTextMapPropagator()
_TRACER = trace.get_tracer("headrace")

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


class RateLimitedSampler(Sampler):
    """Record at most `rate` root spans a second (token bucket); the rest is counted."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._tokens = max(rate, 1.0)
        self._filled = time.monotonic()
        self._lock = threading.Lock()

    def should_sample(
        self,
        parent_context: Context | None,
        trace_id: int,
        name: str,
        kind: SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[Link] | None = None,
        trace_state: TraceState | None = None,
    ) -> SamplingResult:
        """Take a token if there is one."""
        with self._lock:
            now = time.monotonic()
            filled = self._tokens + (now - self._filled) * self._rate
            self._tokens, self._filled = min(filled, max(self._rate, 1.0)), now
            if self._tokens >= 1.0:
                self._tokens -= 1.0
                return SamplingResult(Decision.RECORD_AND_SAMPLE, attributes)
        TRACES_UNSAMPLED.inc()
        return SamplingResult(Decision.DROP)

    def get_description(self) -> str:
        """Name the sampler for OpenTelemetry's debugging output."""
        return f"RateLimitedSampler({self._rate}/s)"


class NameService(SpanProcessor):
    """Say on each span whose it is: MLflow's trace UI does not show resource attributes."""

    def __init__(self, service: str) -> None:
        self._service = service

    def on_start(self, span: SdkSpan, parent_context: Context | None = None) -> None:
        """Add the attribute."""
        span.set_attribute(SERVICE, self._service)


def configure(service: str, version: str, settings: Telemetry) -> TracerProvider | None:
    """Install the tracer provider; without an endpoint spans stay unrecorded but context flows."""
    if not settings.otlp_endpoint:
        return None
    # Imported here: the exporter brings `requests`, of no use without an endpoint.
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    pairs = (part.split("=", 1) for part in settings.otlp_headers.split(",") if "=" in part)
    exporter = OTLPSpanExporter(
        endpoint=f"{settings.otlp_endpoint.rstrip('/')}/v1/traces",
        headers={key.strip(): value.strip() for key, value in pairs},
    )
    provider = TracerProvider(
        resource=Resource.create({"service.name": service, "service.version": version}),
        sampler=ParentBased(RateLimitedSampler(settings.traces_per_second)),
    )
    provider.add_span_processor(NameService(service))
    provider.add_span_processor(
        BatchSpanProcessor(exporter, schedule_delay_millis=2000, max_export_batch_size=512)
    )
    trace.set_tracer_provider(provider)
    return provider


def context_of(traceparent: str | None, tracestate: str | None = None) -> Context:
    """Return the context that a W3C header pair describes (empty when there is none)."""
    carrier = {"traceparent": traceparent} if traceparent else {}
    if traceparent and tracestate:
        carrier["tracestate"] = tracestate
    return _PROPAGATOR.extract(carrier, Context())


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


def start_span(
    name: str,
    kind: SpanKind,
    parent: Context | None = None,
    attributes: Mapping[str, Any] | None = None,
) -> Span:
    """Start a span that the caller ends; for batches, where spans overlap."""
    return _TRACER.start_span(name, context=parent, kind=kind, attributes=dict(attributes or {}))


@contextmanager
def span(
    name: str,
    *,
    kind: SpanKind = SpanKind.INTERNAL,
    parent: Context | None = None,
    attributes: Mapping[str, Any] | None = None,
) -> Iterator[Span]:
    """Open a span; an error sets its status by class name only, for messages may quote users."""
    opened = start_span(name, kind, parent, attributes)
    token = otel_context.attach(trace.set_span_in_context(opened, parent))
    try:
        yield opened
    except BaseException as error:
        opened.set_status(Status(StatusCode.ERROR, type(error).__name__))
        raise
    finally:
        otel_context.detach(token)
        opened.end()

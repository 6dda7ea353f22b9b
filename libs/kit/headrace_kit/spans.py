"""Spans of the hot path: OpenTelemetry's API, a tenth of its SDK's work.

A request has eight spans over Kafka. The SDK takes about 100 µs to make one and 130 to encode it,
which at a thousand requests a second is more than a core. These do what is used here and no more:
attributes, a status, a parent. No events, no links, no locks: a span belongs to one task.
"""

import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

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
)
from opentelemetry.trace.span import TraceState
from opentelemetry.util.types import AttributeValue

_SAMPLED, _NOT_SAMPLED = TraceFlags(TraceFlags.SAMPLED), TraceFlags(TraceFlags.DEFAULT)


class RecordedSpan(Span):
    """A span that will be exported when it ends."""

    __slots__ = (
        "_on_end", "attributes", "context", "end_ns", "kind", "name", "parent_id", "start_ns",
        "status", "status_text",
    )  # fmt: skip

    def __init__(
        self,
        name: str,
        context: SpanContext,
        parent_id: int,
        kind: SpanKind,
        attributes: dict[str, Any],
        on_end: "Callable[[RecordedSpan], None]",
    ) -> None:
        self.name = name
        self.context = context
        self.parent_id = parent_id
        self.kind = kind
        self.attributes = attributes
        self.status = StatusCode.UNSET
        self.status_text = ""
        self.start_ns = time.time_ns()
        self.end_ns = 0
        self._on_end = on_end

    def get_span_context(self) -> SpanContext:
        """Its ids and flags."""
        return self.context

    def is_recording(self) -> bool:
        """Until its end."""
        return not self.end_ns

    def end(self, end_time: int | None = None) -> None:
        """End it; a second end changes nothing."""
        if not self.end_ns:
            self.end_ns = end_time or time.time_ns()
            self._on_end(self)

    def set_attribute(self, key: str, value: AttributeValue) -> None:
        """Set one attribute."""
        self.attributes[key] = value

    def set_attributes(self, attributes: Mapping[str, AttributeValue]) -> None:
        """Set several."""
        self.attributes.update(attributes)

    def set_status(self, status: Status | StatusCode, description: str | None = None) -> None:
        """Set the status."""
        if isinstance(status, Status):
            self.status, self.status_text = status.status_code, status.description or ""
        else:
            self.status, self.status_text = status, description or ""

    def update_name(self, name: str) -> None:
        """Rename it."""
        self.name = name

    def add_event(self, *_: Any, **__: Any) -> None:
        """Events are not kept."""

    def add_link(self, *_: Any, **__: Any) -> None:
        """Links are not kept."""

    def record_exception(self, exception: BaseException, *_: Any, **__: Any) -> None:
        """Keep the class only: a message may quote what a user wrote."""
        self.set_status(StatusCode.ERROR, type(exception).__name__)


class RateLimit:
    """A token bucket: at most `rate` takings a second, and as many at once."""

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._most = max(rate, 1.0)
        self._tokens = self._most
        self._filled = time.monotonic()
        self._lock = threading.Lock()

    def take(self) -> bool:
        """Take a token if there is one."""
        with self._lock:
            now = time.monotonic()
            self._tokens = min(self._tokens + (now - self._filled) * self._rate, self._most)
            self._filled = now
            if self._tokens < 1.0:
                return False
            self._tokens -= 1.0
            return True


class RateLimitedTracer(trace.Tracer):
    """Records what the parent's sampled flag asks for, and roots as far as the rate allows."""

    def __init__(
        self,
        rate: float,
        attributes: Mapping[str, Any],
        on_end: Callable[[RecordedSpan], None],
        on_unsampled: Callable[[], None],
    ) -> None:
        self._limit = RateLimit(rate)
        self._attributes = attributes
        self._on_end = on_end
        self._on_unsampled = on_unsampled

    def start_span(
        self,
        name: str,
        context: Context | None = None,
        kind: SpanKind = SpanKind.INTERNAL,
        attributes: Mapping[str, Any] | None = None,
        *_: Any,
        **__: Any,
    ) -> Span:
        """Start a span below the one in `context` (or the current one)."""
        parent = trace.get_current_span(context).get_span_context()
        if not parent.is_valid:
            return self.start_root(name, kind, attributes or {})
        sampled = bool(parent.trace_flags & TraceFlags.SAMPLED)
        ids = (parent.trace_id, parent.span_id)
        return self.start_below(name, *ids, sampled, parent.trace_state, kind, attributes or {})

    def start_root(self, name: str, kind: SpanKind, attributes: Mapping[str, Any]) -> Span:
        """Start a trace, which is recorded if the rate allows."""
        sampled = self._limit.take()
        if not sampled:
            self._on_unsampled()
        trace_id = random.getrandbits(128)
        return self.start_below(name, trace_id, 0, sampled, None, kind, attributes)

    def start_below(
        self,
        name: str,
        trace_id: int,
        parent_id: int,
        sampled: bool,
        state: TraceState | None,
        kind: SpanKind,
        attributes: Mapping[str, Any],
    ) -> Span:
        """Start a span below a parent that is given by its ids."""
        flags = _SAMPLED if sampled else _NOT_SAMPLED
        own = SpanContext(trace_id, random.getrandbits(64), False, flags, state)
        if not sampled:
            return NonRecordingSpan(own)
        found = {**attributes, **self._attributes}
        return RecordedSpan(name, own, parent_id, kind, found, self._on_end)

    # The API's own decorator, which also takes coroutines, is private to it.
    @contextmanager
    def start_as_current_span(  # type: ignore[override]
        self, name: str, *given: Any, **named: Any
    ) -> Iterator[Span]:
        """Start a span, make it current, end it."""
        end = named.pop("end_on_exit", True)
        named.pop("record_exception", None)
        named.pop("set_status_on_exception", None)
        span = self.start_span(name, *given, **named)
        with trace.use_span(span, end, set_status_on_exception=False) as current:
            yield current


class RateLimitedTracerProvider(trace.TracerProvider):
    """Gives everybody the one tracer."""

    def __init__(self, tracer: RateLimitedTracer, shutdown: Callable[[], None]) -> None:
        self._tracer = tracer
        self.shutdown = shutdown
        """Export what is left and stop."""

    def get_tracer(self, *_: Any, **__: Any) -> trace.Tracer:
        """The tracer."""
        return self._tracer

"""Kafka handler of the hot path: inference.admitted -> inference.generated (and its parts)."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

from headrace_events import Event, EventData
from headrace_events.inference import (
    InferenceAdmitted,
    InferenceCancelRequested,
    InferenceGenerated,
    InferencePartGenerated,
    Usage,
)
from headrace_events.workload import Manifest
from headrace_kit.telemetry import trace_id_of
from headrace_serving.core.batching import Generated
from headrace_serving.core.cancellation import Cancellations, Cancelled
from headrace_serving.core.ending import (
    CANCELLED,
    UNKNOWN_WORKLOAD,
    Ending,
    Unanswered,
    ending_of,
)
from headrace_serving.core.generation import EngineError
from headrace_serving.core.prompting import prompt_for
from headrace_serving.core.routing import Choice
from headrace_serving.generating import Generator, Request

SOURCE = "serving"
_PART_SECONDS = 0.1  # tokens that come faster travel together
_MANIFEST_TRIES, _MANIFEST_SECONDS = 20, 0.1

Publish = Callable[..., Awaitable[None]]
Lookup = Callable[[str], Manifest | None]
Pin = Callable[[str, str, str], Awaitable[Choice]]
"""(workload, version, base of its manifest) -> the version; raises Unanswered."""


class AdmittedHandler:
    """Answers a micro-batch; each outcome is published as soon as it is there."""

    def __init__(
        self,
        generator: Generator,
        cancellations: Cancellations,
        lookup: Lookup,
        publish: Publish,
        patience_seconds: float,
        pin: Pin,
    ) -> None:
        self._pin = pin
        self._generator = generator
        self._cancellations = cancellations
        self._lookup = lookup
        self._publish = publish
        self._patience_seconds = patience_seconds

    async def __call__(self, events: list[Event[Any]]) -> None:
        """Return when the broker has the outcome of every event."""
        if len(events) == 1:  # as nearly always: a task of its own would cost for nothing
            await self._one(events[0])
            return
        await asyncio.gather(*(self._one(event) for event in events))

    async def _one(self, event: Event[InferenceAdmitted]) -> None:
        manifest = await self._manifest(event.workload)
        if manifest is None:
            await self._reject(event, UNKNOWN_WORKLOAD)
            return
        request = event.data.request
        try:
            pinned = None
            if request.version is not None:
                base = manifest.spec.base
                pinned = await self._pin(event.workload, request.version, base)
        except Unanswered as error:
            await self._reject(event, error.ending)
            return
        asked = Request(
            workload=event.workload,
            request_id=request.request_id,
            key=request.key,
            prompt=prompt_for(
                manifest,
                request.messages,
                max_tokens=request.max_tokens,
                temperature=request.temperature,
                stream=request.stream,
            ),
            deadline=event.deadline.timestamp() if event.deadline else None,
            traceparent=event.traceparent,
            urgent=request.priority == "high",
            pinned=pinned,
        )
        try:
            async with self._cancellations.scope(request.request_id):
                fact = await self._answer(event, manifest, asked)
        except Cancelled:
            await self._reject(event, CANCELLED)
            return
        except Unanswered as error:
            # The version that was to answer: the monitor counts its own failures by it.
            await self._reject(event, error.ending, error.choice)
            return
        await self._publish(caused(event, fact))

    def on_cancel(self, event: Event[InferenceCancelRequested]) -> None:
        """Hear of a cancellation; every replica does, for any may have the request."""
        self._cancellations.cancel(event.data.request_id)

    async def _answer(
        self, event: Event[InferenceAdmitted], manifest: Manifest, asked: Request
    ) -> InferenceGenerated:
        """Generate, publishing the parts of a stream on the way."""
        started = time.perf_counter()
        parts = _Parts(event, self._publish)
        generated: InferenceGenerated | None = None
        # To the end: generators that are left before it are closed by the event loop, each in a
        # task of its own.
        async for choice, piece in self._generator.answer(manifest, asked, self._patience_seconds):
            if isinstance(piece, str):
                await parts.add(piece)
                continue
            seconds = time.perf_counter() - started
            await parts.flush()
            generated = _generated(event, choice, piece, seconds)
        if generated is None:
            raise Unanswered(ending_of(EngineError("the engine ended without an answer")))
        return generated

    async def _manifest(self, workload: str) -> Manifest | None:
        """Our copy of a manifest may be a moment behind that of guardrails."""
        for _ in range(_MANIFEST_TRIES):
            if manifest := self._lookup(workload):
                return manifest
            await asyncio.sleep(_MANIFEST_SECONDS)
        return None

    async def _reject(
        self, event: Event[InferenceAdmitted], ending: Ending, choice: Choice | None = None
    ) -> None:
        request_id = event.data.request.request_id
        trace_id, pinned = trace_id_of(event.traceparent), event.data.request.pinned
        fact = ending.event(request_id, choice, trace_id, "kafka", pinned=pinned)
        await self._publish(caused(event, fact))


class _Parts:
    """Pieces of one streamed answer, gathered a little and published in order."""

    def __init__(self, event: Event[InferenceAdmitted], publish: Publish) -> None:
        self._event = event
        self._publish = publish
        self._text = ""
        self._index = 0
        self._published_at = 0.0

    async def add(self, text: str) -> None:
        self._text += text
        if time.monotonic() - self._published_at >= _PART_SECONDS:
            await self.flush()

    async def flush(self) -> None:
        if not self._text:
            return
        request = self._event.data.request
        part = InferencePartGenerated(
            request_id=request.request_id,
            index=self._index,
            text=self._text,
            priority=request.priority,
        )
        await self._publish(caused(self._event, part, str(self._index)))
        self._text, self._index = "", self._index + 1
        self._published_at = time.monotonic()


def _generated(
    event: Event[InferenceAdmitted], choice: Choice, answer: Generated, seconds: float
) -> InferenceGenerated:
    return InferenceGenerated(
        request=event.data.request,
        text=answer.text,
        model=event.workload,
        model_version=choice.model.version,
        arm=choice.arm,
        finish_reason=answer.finish_reason,
        usage=Usage(input_tokens=answer.input_tokens, output_tokens=answer.output_tokens),
        received_at=event.data.received_at,
        generation_ms=seconds * 1000,
    )


def caused(
    event: Event[InferenceAdmitted], fact: EventData, discriminator: str = ""
) -> Event[EventData]:
    """A fact as an event whose id derives from `event`, so that a repeat makes the same one."""
    return Event.new(
        fact,
        source=SOURCE,
        workload=event.workload,
        subject=event.data.request.request_id,
        cause=event,
        discriminator=discriminator,
    )

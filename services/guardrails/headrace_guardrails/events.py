"""Kafka handlers: requests and answers in micro-batches, outcomes back."""

import asyncio
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from headrace_events import Event, EventData
from headrace_events.inference import (
    InferenceGenerated,
    InferencePartCompleted,
    InferencePartGenerated,
    InferenceRequested,
)
from headrace_events.workload import Manifest
from headrace_guardrails.core.outcomes import Circumstances, admit, complete
from headrace_guardrails.core.policy import DEFAULT, Policy, of_manifest
from headrace_guardrails.core.streams import OpenStreams, give
from headrace_guardrails.core.window import release
from headrace_guardrails.metrics import broken_off, observe
from headrace_guardrails.pace import Pace, judged, size_of
from headrace_kit.telemetry import trace_id_of

SOURCE = "guardrails"
_POLL_SECONDS = 0.1
_REMEMBER_UNKNOWN_SECONDS = 30.0
_MOST_UNKNOWN = 3
"""Names in that time for which it was waited in vain, before it is waited for none."""

Lookup = Callable[[str], Manifest | None]


class InputHandler:
    """inference.requested -> inference.admitted | inference.rejected (+ guardrail.tripped)."""

    def __init__(self, lookup: Lookup, wait_for_manifest_seconds: float) -> None:
        self._lookup = lookup
        self._wait_seconds = wait_for_manifest_seconds
        self._unknown: dict[str, float] = {}

    async def __call__(self, events: list[Event[Any]]) -> Sequence[Event[Any]]:
        """Judge a micro-batch of requests."""
        await self._wait_for_manifests({event.workload for event in events})
        outcomes: list[Event[Any]] = []
        pace = Pace()
        for event in events:
            request: InferenceRequested = event.data
            policy, around = self._policy(event.workload), circumstances(event)
            work = partial(admit, request, policy, around, broken_off)
            with observe("input"):
                facts = await judged(size_of(request.messages), work)
            outcomes += caused(event, request.request_id, facts)
            await pace.breathe()
        return outcomes

    def _policy(self, workload: str) -> Policy | None:
        manifest = self._lookup(workload)
        return of_manifest(manifest) if manifest else None

    async def _wait_for_manifests(self, names: set[str]) -> None:
        """A manifest travels on another topic and may be a moment behind the first request.

        A name that stayed unknown is not waited for again for a while, and after a few of them no
        new one is: requests for misspelt or invented workloads must not slow down everybody else's.
        """
        now = time.monotonic()
        self._unknown = {
            name: until
            for name, until in self._unknown.items()
            if until > now and not self._lookup(name)
        }
        waiting = {n for n in names if not self._lookup(n) and n not in self._unknown}
        if len(self._unknown) >= _MOST_UNKNOWN:
            return
        until = now + self._wait_seconds
        while waiting and time.monotonic() < until:
            await asyncio.sleep(_POLL_SECONDS)
            waiting = {name for name in waiting if not self._lookup(name)}
        for name in waiting:
            self._unknown[name] = time.monotonic() + _REMEMBER_UNKNOWN_SECONDS


class OutputHandler:
    """inference.generated and its parts -> inference.completed | rejected, part_completed."""

    def __init__(self, lookup: Lookup) -> None:
        self._lookup = lookup
        self._streams = OpenStreams()

    async def __call__(self, events: list[Event[Any]]) -> Sequence[Event[Any]]:
        """Judge a micro-batch of answers and parts of answers, in their order."""
        outcomes: list[Event[Any]] = []
        pace = Pace()
        for event in events:
            manifest = self._lookup(event.workload)
            # The request was admitted under a manifest; were it lost, every check applies.
            policy = of_manifest(manifest) if manifest else DEFAULT
            data = event.data
            if isinstance(data, InferencePartGenerated):
                part = await self._part(data, policy)
                outcomes += caused(event, data.request_id, [part] if part else [])
            elif isinstance(data, InferenceGenerated):
                work = partial(complete, data, policy, circumstances(event), broken_off)
                with observe("output"):
                    facts = await judged(len(data.text), work)
                self._streams.close(data.request.request_id)
                outcomes += caused(event, data.request.request_id, facts)
            await pace.breathe()
        return outcomes

    async def _part(
        self, part: InferencePartGenerated, policy: Policy
    ) -> InferencePartCompleted | None:
        state = self._streams.grow(part)
        if state is None:
            return None
        released = await judged(len(state.text), partial(release, state.text, policy))
        return give(part.request_id, state, released)


def circumstances(event: Event[Any]) -> Circumstances:
    """Read what the envelope says."""
    return Circumstances(
        received_at=event.time.timestamp(),
        deadline=event.deadline.timestamp() if event.deadline else None,
        trace_id=trace_id_of(event.traceparent),
    )


def caused(
    event: Event[Any], request_id: str, facts: Sequence[EventData]
) -> list[Event[EventData]]:
    """Facts as events whose ids derive from `event`, so that a repeat makes the same ones."""
    return [
        Event.new(
            fact,
            source=SOURCE,
            workload=event.workload,
            subject=request_id,
            cause=event,
            discriminator=getattr(fact, "check", ""),
        )
        for fact in facts
    ]

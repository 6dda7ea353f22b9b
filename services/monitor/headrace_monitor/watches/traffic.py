"""Takes in outcomes, ratings and guardrail trips, in micro-batches.

The batch is stored before it is counted in memory and before its offsets are committed: what a
kill loses in memory is read back at start, and what Kafka delivers again is known by its request.
"""

import asyncio
from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from sqlalchemy import select

from headrace_events import Event
from headrace_events.inference import (
    FeedbackGiven,
    GuardrailTripped,
    InferenceCompleted,
    InferenceRejected,
)
from headrace_kit import Service
from headrace_kit.telemetry import trace_id_of
from headrace_monitor.adapters import exposition, outcomes
from headrace_monitor.adapters.outcomes import Rating
from headrace_monitor.adapters.tables import TripRow
from headrace_monitor.core import drift
from headrace_monitor.core.outcomes import Outcome, of_completed, of_rejected
from headrace_monitor.core.windows import SeriesKey, WindowBoard

_WINDOWS_REBUILT = timedelta(hours=1)
# A prompt of 8,000 characters takes half a millisecond to sketch, and a batch may hold 500.
_SKETCHED_AT_ONCE = 10


class Traffic:
    """The hot path of the monitor."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self.board = WindowBoard()
        self.passed: Counter[tuple[str, str]] = Counter()
        """Events by workload and type since the console last took them."""

    async def outcomes(self, events: list[Event[InferenceCompleted | InferenceRejected]]) -> None:
        """Count requests."""
        found: list[Outcome] = []
        for start in range(0, len(events), _SKETCHED_AT_ONCE):
            part = events[start : start + _SKETCHED_AT_ONCE]
            found += [o for event in part if (o := _outcome(event))]
            await asyncio.sleep(0)
        async with self._service.unit_of_work() as uow:
            new, ratings = await outcomes.record(uow.session, found)
        for outcome in new:
            self.board.add(outcome)
            exposition.count(outcome)
        self._count_ratings(ratings)
        self.passed.update((event.workload, event.type) for event in events)

    async def feedback(self, events: list[Event[FeedbackGiven]]) -> None:
        """Count ratings; the newest of a request counts."""
        given = [(e.data.request_id, e.data.rating, e.time) for e in events]
        async with self._service.unit_of_work() as uow:
            changed = await outcomes.rate(uow.session, given)
        self._count_ratings(changed)
        self.passed.update((event.workload, event.type) for event in events)

    async def trips(self, events: list[Event[GuardrailTripped]]) -> None:
        """Keep which guardrails tripped."""
        unique = {event.id: event for event in events}
        async with self._service.unit_of_work() as uow:
            query = select(TripRow.event_id).where(TripRow.event_id.in_(unique))
            for known in await uow.session.scalars(query):
                del unique[known]
            uow.session.add_all(_trip(event) for event in unique.values())
        self.passed.update((event.workload, event.type) for event in events)

    async def rebuild(self) -> None:
        """Make the windows of the last hour again from what is stored."""
        since = datetime.now(UTC) - _WINDOWS_REBUILT
        place: tuple[datetime, int] | None = None
        while True:
            async with self._service.reading() as session:
                found, place = await outcomes.recent(session, since, place)
            for one in found:
                self.board.count(one.series, one.kind, one.latency_ms, one.at)
            if place is None:
                break
        rated: tuple[datetime, str] | None = None
        while True:
            async with self._service.reading() as session:
                ratings, rated = await outcomes.recent_ratings(session, since, rated)
            for rating in ratings:
                self._rate(rating)
            if rated is None:
                break

    def _count_ratings(self, ratings: Iterable[Rating]) -> None:
        for one in ratings:
            self._rate(one)
            if one.replaced is None:
                series = (one.workload, one.version, one.arm)
                exposition.FEEDBACK.labels(*series, f"{one.rating:+d}").inc()

    def _rate(self, one: Rating) -> None:
        key = SeriesKey(one.workload, one.version, one.arm)
        self.board.rate(key, one.at, one.rating, one.replaced)


def _outcome(event: Event[InferenceCompleted | InferenceRejected]) -> Outcome | None:
    data = event.data
    if isinstance(data, InferenceRejected):
        return of_rejected(data, event.workload, event.time)
    if data.pinned:
        return None  # before its prompt is sketched: that is what costs
    # The last turn is what the user asked just now; earlier turns were measured in their requests.
    asked = [m.content for m in data.messages if m.role == "user"][-1:]
    return of_completed(data, event.workload, event.time, drift.sketch(asked))


def _trip(event: Event[GuardrailTripped]) -> TripRow:
    return TripRow(
        event_id=event.id,
        workload=event.workload,
        request_id=event.data.request_id,
        stage=event.data.stage,
        check=event.data.check,
        action=event.data.action,
        labels=list(event.data.labels),
        trace_id=trace_id_of(event.traceparent),
        at=event.time,
    )

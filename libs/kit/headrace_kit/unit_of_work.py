"""The unit of work: state, inbox id and outbox rows in one transaction."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from opentelemetry.trace import SpanKind
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from headrace_events import Event, EventData
from headrace_kit import telemetry
from headrace_kit.database import Database, JobRow, OutboxRow


class UnitOfWork:
    """What a handler may change: rows by `session`, events by `emit`, long work by `enqueue`."""

    def __init__(
        self, session: AsyncSession, source: str, cause: Event[Any] | None, workload: str
    ) -> None:
        self.session = session
        self.cause = cause
        self._source = source
        self._workload = workload
        self.emitted = 0
        self.enqueued = 0

    def emit(
        self,
        data: EventData,
        *,
        workload: str | None = None,
        subject: str = "",
        discriminator: str = "",
    ) -> Event[EventData]:
        """Write an event to the outbox; it is published after the commit.

        One cause may have several outcomes of one type: tell them apart by `discriminator`.
        """
        name = workload or self._workload or (self.cause.workload if self.cause else "")
        attributes = {
            telemetry.SYSTEM: "kafka",
            telemetry.OPERATION: "send",
            telemetry.OPERATION_TYPE: "send",
            telemetry.DESTINATION: data.topic,
            telemetry.EVENT_TYPE: data.TYPE,
            telemetry.WORKLOAD: name,
        }
        with telemetry.span(
            f"send {data.topic}", kind=SpanKind.PRODUCER, attributes=attributes
        ) as opened:
            event: Event[EventData] = Event.new(
                data,
                source=self._source,
                workload=name,
                subject=subject,
                cause=self.cause,
                discriminator=discriminator,
                traceparent=telemetry.traceparent_of(opened),
            )
            opened.set_attribute(telemetry.EVENT_ID, event.id)
        self.session.add(
            OutboxRow(
                event_id=event.id,
                type=event.type,
                topic=event.topic,
                key=event.workload,
                headers=event.headers(),
                body=event.body(),
            )
        )
        self.emitted += 1
        return event

    async def enqueue(
        self, kind: str, key: str, payload: dict[str, Any], *, workload: str | None = None
    ) -> bool:
        """Write a job; the same kind and key twice is one job. Return whether it is new."""
        found = await self.session.scalar(
            select(JobRow.key).where(JobRow.kind == kind, JobRow.key == key)
        )
        if found:
            return False
        cause = self.cause
        self.session.add(
            JobRow(
                kind=kind,
                key=key,
                workload=workload or self._workload or (cause.workload if cause else ""),
                payload=payload,
                cause=(
                    {
                        "id": cause.id,
                        # A job that enqueues another one has an event's id only, not its data.
                        "type": cause.type if cause.data is not None else None,
                        "traceparent": telemetry.current_traceparent() or cause.traceparent,
                    }
                    if cause
                    else None
                ),
                created_at=datetime.now(UTC),
            )
        )
        self.enqueued += 1
        return True


class UnitsOfWork:
    """Makes units of work on one database and wakes relay and job workers after a commit."""

    def __init__(self, database: Database, source: str, wake_relay: Callable[[], None]) -> None:
        self._database = database
        self._source = source
        self._wake_relay = wake_relay
        self.wake_jobs: list[Callable[[], None]] = []

    @asynccontextmanager
    async def begin(
        self, cause: Event[Any] | None = None, workload: str = ""
    ) -> AsyncIterator[UnitOfWork]:
        """Open a unit of work; it commits at the end of the block, or leaves nothing behind."""
        async with self._database.transaction() as session:
            uow = UnitOfWork(session, self._source, cause, workload)
            yield uow
        if uow.emitted:
            self._wake_relay()
        if uow.enqueued:
            for wake in self.wake_jobs:
                wake()

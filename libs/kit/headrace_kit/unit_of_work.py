"""The unit of work: state, inbox id and outbox rows in one transaction.

Outbox rows are written last, and on PostgreSQL under a lock of their keys that the commit releases.
So of two transactions with events of one key the second takes its numbers after the first has
committed: the order of `seq` is the order of commits, and the relay never sees a later one alone.
SQLite has one writer at a time anyway.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from opentelemetry.trace import SpanKind
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from headrace_events import Event, EventData
from headrace_events.jobs import JobQueued
from headrace_kit import inbox, telemetry
from headrace_kit.database import Database, JobRow, OutboxRow
from headrace_kit.history import History

_ANSWER_SECONDS = 5.0
# hashtext has 32 bits: two keys that collide only wait for one another.
_LOCK_KEY = text("SELECT pg_advisory_xact_lock(hashtext('headrace.outbox'), hashtext(:key))")


class EventTooLarge(ValueError):
    """An event that the broker would refuse; big things travel by reference."""


class UnitOfWork:
    """What a handler may change: rows by `session`, events by `emit`, long work by `enqueue`."""

    def __init__(
        self,
        session: AsyncSession,
        source: str,
        cause: Event[Any] | None,
        workload: str,
        max_bytes: int,
        *,
        at: datetime | None = None,
        history: History | None = None,
    ) -> None:
        self.session = session
        self.cause = cause
        self.at: datetime = at or (cause.time if cause else datetime.now(UTC))
        """When that happens which this unit of work writes down: its event's time, so that a row
        has the same times when `headrace replay` makes it again."""
        self._own_time = at
        self._history = history
        self._source = source
        self._workload = workload
        self._max_bytes = max_bytes
        self._outbox: list[OutboxRow] = []
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

        One cause may have several outcomes of one type: tell them apart by `discriminator`. In a
        replay what is in the log already is not written again.
        """
        name = workload or self._workload or (self.cause.workload if self.cause else "")
        attributes = {
            telemetry.SYSTEM: "kafka",
            telemetry.OPERATION: "send",
            telemetry.OPERATION_TYPE: "send",
            telemetry.DESTINATION: data.destination,
            telemetry.EVENT_TYPE: data.TYPE,
            telemetry.WORKLOAD: name,
        }
        with telemetry.span(
            f"send {data.destination}", kind=SpanKind.PRODUCER, attributes=attributes
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
            if self._own_time:
                event = event.model_copy(update={"time": self._own_time})
            opened.set_attribute(telemetry.EVENT_ID, event.id)
        if self._history:
            known = self._history.emitted(event)
            if known:
                return event.model_copy(update={"time": known})
            if not self._history.is_missing(event):
                return event
        body = event.body()
        if len(body) > self._max_bytes:
            raise EventTooLarge(
                f"{event.type} has {len(body)} bytes and the topic takes {self._max_bytes}: "
                "put what is big into a table or a file and send its reference"
            )
        self._outbox.append(
            OutboxRow(
                event_id=event.id,
                type=event.type,
                topic=event.topic,
                key=event.workload,
                headers=event.headers(),
                body=body,
                created_at=event.time,
            )
        )
        return event

    async def act_on(
        self, data: EventData, *, workload: str | None = None, subject: str = ""
    ) -> Event[Any]:
        """Emit what somebody asks for over HTTP, and have it as the cause of what follows.

        For types that the service also handles from Kafka. Its effect is in this transaction, so
        it is noted as handled: when it comes back it is a repeat, and a replay calls the handler.
        """
        event: Event[Any] = self.emit(data, workload=workload, subject=subject)
        await inbox.take(self.session, event)
        self.cause, self.at = event, event.time
        return event

    async def enqueue(
        self, kind: str, key: str, payload: dict[str, Any], *, workload: str | None = None
    ) -> bool:
        """Write a job; the same kind and key twice is one job. Return whether it is new."""
        if self._history:
            return False  # the log says which jobs there were
        found = await self.session.scalar(
            select(JobRow.key).where(JobRow.kind == kind, JobRow.key == key)
        )
        if found:
            return False
        cause = self.cause
        name = workload or self._workload or (cause.workload if cause else "")
        # A job that enqueues another one has an event's id only, not its data.
        cause_type = cause.type if cause and cause.data is not None else None
        queued = self.emit(
            JobQueued(kind=kind, key=key, payload=payload, cause_type=cause_type),
            workload=name,
            subject=key,
            discriminator=f"{kind}:{key}",
        )
        self.session.add(
            JobRow(
                kind=kind,
                key=key,
                workload=name,
                payload=payload,
                cause=(
                    {
                        "id": cause.id,
                        "type": cause_type,
                        "traceparent": telemetry.current_traceparent() or cause.traceparent,
                    }
                    if cause
                    else None
                ),
                cause_id=cause.id if cause else None,
                created_at=queued.time,
            )
        )
        self.enqueued += 1
        return True

    @property
    def replaying(self) -> bool:
        """Whether state is made again from the log: what was decided then is in the log."""
        return self._history is not None

    @property
    def emitted(self) -> int:
        """How many events were emitted."""
        return len(self._outbox)

    async def write_outbox(self) -> None:
        """Write the emitted events; nothing but the commit may follow."""
        if not self._outbox:
            return
        if self.session.get_bind().dialect.name == "postgresql":
            # Sorted, so that two transactions cannot wait for each other's keys.
            for key in sorted({row.key for row in self._outbox}):
                await self.session.execute(_LOCK_KEY, {"key": key})
        for row in self._outbox:
            self.session.add(row)
            # One by one: a bulk insert may hand out its numbers in another order.
            await self.session.flush()


class UnitsOfWork:
    """Makes units of work on one database and wakes relay and job workers after a commit."""

    def __init__(
        self,
        database: Database,
        source: str,
        wake_relay: Callable[[], None],
        max_bytes: int = 1_000_000,
    ) -> None:
        self._database = database
        self._source = source
        self._wake_relay = wake_relay
        self._max_bytes = max_bytes
        self.wake_jobs: list[Callable[[], None]] = []
        self.history: History | None = None
        """Set while the service's state is made again from the log."""

    @asynccontextmanager
    async def begin(
        self, cause: Event[Any] | None = None, workload: str = "", at: datetime | None = None
    ) -> AsyncIterator[UnitOfWork]:
        """Open a unit of work; it commits at the end of the block, or leaves nothing behind.

        `at` is for what has no event as its moment: the end of a job.
        """
        async with self._database.transaction() as session:
            uow = UnitOfWork(
                session,
                self._source,
                cause,
                workload,
                self._max_bytes,
                at=at,
                history=self.history,
            )
            yield uow
            await session.flush()
            await uow.write_outbox()
        if uow.emitted:
            self._wake_relay()
        if uow.enqueued:
            for wake in self.wake_jobs:
                wake()

    async def reachable(self) -> bool:
        """Say whether the database answers."""
        try:
            async with asyncio.timeout(_ANSWER_SECONDS), self._database.reading() as session:
                await session.execute(text("SELECT 1"))
        except Exception:  # noqa: BLE001 - whatever it is, there is no database to work with
            return False
        return True

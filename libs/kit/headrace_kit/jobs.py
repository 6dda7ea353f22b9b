"""Leased jobs: long work outside the handlers, claimed, kept alive, resumed and cancelled."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import structlog
from opentelemetry.trace import SpanKind
from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from headrace_events import Event, EventData
from headrace_events.jobs import JobFinished, JobQueued
from headrace_kit import telemetry
from headrace_kit.database import Database, JobRow
from headrace_kit.metrics import JOBS_RUNNING
from headrace_kit.unit_of_work import UnitOfWork, UnitsOfWork

_LOG = structlog.get_logger(__name__)
_POLL_SECONDS = 2.0
_BACKOFF = (1.0, 5.0, 20.0)
_OPEN = ("queued", "running")
_Ended = Literal["done", "failed", "cancelled"]


class JobRejected(Exception):
    """The job can never succeed; the reason goes into the failure event."""


class JobLost(Exception):
    """The lease ran out and another replica may be at work: this attempt has no say any more."""


@dataclass(frozen=True)
class Job:
    """A piece of long work."""

    kind: str
    key: str
    workload: str
    payload: dict[str, Any]
    cause: dict[str, Any] | None
    state: str
    attempt: int
    reason: str | None
    cancel_requested: bool
    created_at: datetime
    finished_at: datetime | None

    @classmethod
    def of(cls, row: JobRow) -> "Job":
        """Read a row."""
        return cls(**{name: getattr(row, name) for name in cls.__dataclass_fields__})

    def causing_event(self) -> Event[Any] | None:
        """Return an event that stands for the one that enqueued the job, so ids derive from it."""
        if not self.cause:
            return None
        return Event[Any].model_construct(
            id=self.cause["id"],
            source="",
            subject="",
            workload=self.workload,
            time=self.created_at,
            data=None,
            causationid=None,
            deadline=None,
            traceparent=telemetry.current_traceparent() or self.cause.get("traceparent"),
            tracestate=None,
        )


Work = Callable[["JobContext"], Awaitable[None]]
Failed = Callable[[Job, str, UnitOfWork], Awaitable[None]]


class JobContext:
    """What a worker may do with its job while it holds the lease."""

    def __init__(self, job: Job, units: UnitsOfWork, owner: str) -> None:
        self.job = job
        self.cancelled = False
        self.result: dict[str, Any] = {}
        """What the job's end says about itself in the log, for a replay of the service."""
        self._units = units
        self._owner = owner
        self._reports = 0

    async def report(self, data: EventData, *, discriminator: str | None = None) -> None:
        """Emit a progress event; its id is derived from the job, the attempt and the count."""
        self._reports += 1
        name = discriminator or f"{self.job.kind}:{self.job.attempt}:{self._reports}"
        async with self._units.begin(self.job.causing_event(), self.job.workload) as uow:
            await self._held(uow)
            uow.emit(data, discriminator=name)

    @asynccontextmanager
    async def finish(self) -> AsyncIterator[UnitOfWork]:
        """Write the outcome and mark the job done, in one transaction; raises JobLost."""
        now = datetime.now(UTC)
        async with self._units.begin(self.job.causing_event(), self.job.workload, now) as uow:
            row = await self._held(uow)
            yield uow
            _end(uow, row, "done", self.result)

    async def _held(self, uow: UnitOfWork) -> JobRow:
        row = await uow.session.get(JobRow, (self.job.kind, self.job.key), with_for_update=True)
        if row is None or row.owner != self._owner or row.attempt != self.job.attempt:
            raise JobLost(f"{self.job.kind} {self.job.key}")
        return row


def _end(uow: UnitOfWork, row: JobRow, state: _Ended, result: dict[str, Any]) -> None:
    row.state, row.finished_at = state, uow.at
    row.owner = row.lease_until = None
    uow.emit(
        JobFinished(
            kind=row.kind,
            key=row.key,
            state=state,
            attempt=row.attempt,
            payload=row.payload,
            result=result,
            reason=row.reason,
            cancel_requested=row.cancel_requested,
        ),
        workload=row.workload,
        subject=row.key,
        discriminator=f"{row.kind}:{row.key}",
    )


async def replay_queued(event: Event[JobQueued], uow: UnitOfWork) -> None:
    """Write a job down again as the log has it; one that did not end runs when the service does."""
    data = event.data
    if await uow.session.get(JobRow, (data.kind, data.key)):
        return
    cause = {
        "id": event.causationid,
        "type": data.cause_type,
        "traceparent": event.traceparent,
    }
    uow.session.add(
        JobRow(
            kind=data.kind,
            key=data.key,
            workload=event.workload,
            payload=data.payload,
            cause=cause if event.causationid else None,
            created_at=event.time,
        )
    )


async def replay_finished(event: Event[JobFinished], uow: UnitOfWork) -> None:
    """End a job as the log has it."""
    data = event.data
    row = await uow.session.get(JobRow, (data.kind, data.key))
    if row is None:  # it was queued before the log begins
        return
    row.state, row.attempt, row.payload = data.state, data.attempt, data.payload
    row.reason, row.cancel_requested = data.reason, data.cancel_requested
    row.finished_at = event.time


async def job_of(uow: UnitOfWork, event: Event[Any], kind: str) -> Job | None:
    """Return the job whose outcome an own event is; the newest, if one event caused several."""
    rows = await uow.session.scalars(
        select(JobRow).where(JobRow.kind == kind).order_by(JobRow.created_at.desc())
    )
    for row in rows:
        if event.causationid and (row.cause or {}).get("id") == event.causationid:
            return Job.of(row)
    return None


class Jobs:
    """Claims and runs the jobs of one kind."""

    def __init__(
        self,
        kind: str,
        work: Work,
        failed: Failed | None,
        *,
        database: Database,
        units: UnitsOfWork,
        owner: str,
        concurrency: int = 1,
        lease_seconds: float = 30.0,
        max_attempts: int = 3,
    ) -> None:
        self.kind = kind
        self._work = work
        self._failed = failed
        self._database = database
        self._units = units
        self._owner = owner
        self._lease = timedelta(seconds=lease_seconds)
        self._max_attempts = max_attempts
        self._concurrency = concurrency
        self._running: set[str] = set()
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """Say that there may be something to claim."""
        self._wake.set()

    async def run(self) -> None:
        """Claim and work for ever, `concurrency` jobs at a time."""
        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(self._concurrency):
                    group.create_task(self._loop())
        finally:
            self._running.clear()

    async def _loop(self) -> None:
        while True:
            try:
                job = await self._claim()
            except Exception as error:  # noqa: BLE001 - the database may be away; jobs stay in it
                _LOG.warning("no job claimed", kind=self.kind, error=type(error).__name__)
                job = None
            if job is None:
                with contextlib.suppress(TimeoutError):  # the poll interval is over
                    async with asyncio.timeout(_POLL_SECONDS):
                        await self._wake.wait()
                self._wake.clear()
                continue
            JOBS_RUNNING.labels(self.kind).inc()
            try:
                await self._attempt(job)
            finally:
                self._running.discard(job.key)
                JOBS_RUNNING.labels(self.kind).dec()

    async def _claim(self) -> Job | None:
        """Take the oldest job that is free, or whose holder is gone."""
        now = datetime.now(UTC)
        async with self._database.transaction() as session:
            candidates = await session.scalars(
                select(JobRow)
                .where(JobRow.kind == self.kind, JobRow.state.in_(_OPEN))
                .where(or_(JobRow.not_before.is_(None), JobRow.not_before <= now))
                .order_by(JobRow.created_at)
                .with_for_update(skip_locked=True)
            )
            for row in candidates:
                # A job of ours that we do not run is of our killed predecessor: no need to wait.
                ours = row.owner == self._owner and row.key not in self._running
                if row.state == "running" and not ours and (row.lease_until or now) > now:
                    continue
                if row.key in self._running:
                    continue
                row.state, row.owner = "running", self._owner
                row.lease_until, row.attempt = now + self._lease, row.attempt + 1
                # Before the commit: the loop beside this one must not take it for a dead one's.
                self._running.add(row.key)
                return Job.of(row)
        return None

    async def _attempt(self, job: Job) -> None:
        context = JobContext(job, self._units, self._owner)
        parent = telemetry.context_of((job.cause or {}).get("traceparent"))
        with telemetry.span(
            f"job {self.kind}",
            kind=SpanKind.INTERNAL,
            parent=parent,
            attributes={"headrace.job": job.key, telemetry.WORKLOAD: job.workload},
        ):
            if job.cancel_requested:
                await self._give_up(job, "cancelled", state="cancelled")
                return
            work = asyncio.create_task(self._run_work(context))
            heartbeat = asyncio.create_task(self._heartbeat(context, work))
            try:
                await work
            except asyncio.CancelledError:
                if context.cancelled:
                    await self._give_up(job, "cancelled", state="cancelled")
                    return
                work.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await work
                await self._release(job)
                raise
            except JobLost:
                _LOG.warning("job lost to another replica", kind=self.kind, job=job.key)
            except JobRejected as error:
                await self._give_up(job, str(error))
            except Exception as error:  # noqa: BLE001 - any failure of the work is retried
                await self._failed_attempt(job, error)
            finally:
                heartbeat.cancel()

    async def _run_work(self, context: JobContext) -> None:
        await self._work(context)

    async def _heartbeat(self, context: JobContext, work: "asyncio.Task[None]") -> None:
        while True:
            await asyncio.sleep(self._lease.total_seconds() / 5)
            try:
                async with self._database.transaction() as session:
                    row = await session.get(JobRow, (self.kind, context.job.key))
                    if row is None or row.state != "running":
                        return
                    row.lease_until = datetime.now(UTC) + self._lease
                    cancel = row.cancel_requested
            except Exception as error:  # noqa: BLE001 - one missed beat is not the end of the lease
                _LOG.warning("missed a heartbeat", kind=self.kind, error=type(error).__name__)
                continue
            if cancel and not context.cancelled:
                context.cancelled = True
                work.cancel()

    async def _failed_attempt(self, job: Job, error: Exception) -> None:
        reason = f"{type(error).__name__} at attempt {job.attempt} of {self._max_attempts}"
        _LOG.error("job failed", kind=self.kind, job=job.key, reason=reason, exc_info=error)
        if job.attempt >= self._max_attempts:
            await self._give_up(job, reason)
            return
        wait = _BACKOFF[min(job.attempt, len(_BACKOFF)) - 1]
        async with self._database.transaction() as session:
            row = await session.get(JobRow, (self.kind, job.key))
            if row and row.owner == self._owner:
                row.state, row.owner, row.lease_until = "queued", None, None
                row.reason = reason
                row.not_before = datetime.now(UTC) + timedelta(seconds=wait)

    async def _give_up(self, job: Job, reason: str, state: _Ended = "failed") -> None:
        _LOG.error("job given up", kind=self.kind, job=job.key, reason=reason)
        now = datetime.now(UTC)
        async with self._units.begin(job.causing_event(), job.workload, now) as uow:
            row = await uow.session.get(JobRow, (self.kind, job.key))
            if row is None or row.owner != self._owner:
                return
            row.reason = reason
            if self._failed:
                await self._failed(job, reason, uow)
            _end(uow, row, state, {})

    async def _release(self, job: Job) -> None:
        """Give the job back at a graceful stop, so that the next process takes it at once."""
        async with self._database.transaction() as session:
            row = await session.get(JobRow, (self.kind, job.key))
            if row and row.owner == self._owner:
                row.state, row.owner, row.lease_until = "queued", None, None
                row.attempt -= 1

    async def cancel(self, key: str) -> bool:
        """Ask a job to stop; return whether it was still open."""
        async with self._database.transaction() as session:
            asked = await self.cancel_in(session, key)
        if asked:
            self.wake()
        return asked

    async def cancel_in(self, session: AsyncSession, key: str) -> bool:
        """Ask a job to stop, in the transaction of a handler."""
        row = await session.get(JobRow, (self.kind, key))
        if row is None or row.state not in _OPEN:
            return False
        row.cancel_requested = True
        return True

    async def get(self, key: str) -> Job | None:
        """Return one job."""
        async with self._database.reading() as session:
            row = await session.get(JobRow, (self.kind, key))
            return Job.of(row) if row else None

    async def list(self, limit: int = 100) -> list[Job]:
        """Return the newest jobs first."""
        async with self._database.reading() as session:
            rows = await session.scalars(
                select(JobRow)
                .where(JobRow.kind == self.kind)
                .order_by(JobRow.created_at.desc())
                .limit(limit)
            )
            return [Job.of(row) for row in rows]

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
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from headrace_events import Event, EventData
from headrace_events.jobs import JobFinished
from headrace_events.monitoring import AlertRaised, AlertResolved
from headrace_kit import telemetry
from headrace_kit.database import Database, JobRow
from headrace_kit.job_claims import OPEN, JobClaims
from headrace_kit.metrics import JOB_FAILURES, JOBS_RUNNING
from headrace_kit.unit_of_work import UnitOfWork, UnitsOfWork

_LOG = structlog.get_logger(__name__)
_POLL_SECONDS = 2.0
_BACKOFF = (1.0, 5.0, 20.0)
_LONGEST_BACKOFF = 60.0
# Workers that may die over one job beyond its attempts. Kills are nobody's fault, a job for which
# memory is too little kills each worker that takes it, and all else that its process does.
_MOST_DEATHS = 20
_ALERTS = "headrace"  # the workload that alerts of the chassis are of
_Ended = Literal["done", "failed", "cancelled"]


class JobRejected(Exception):
    """The job can never succeed; the reason goes into the failure event."""


class JobLeftOpen(RuntimeError):
    """The work returned without `finish`."""


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
    gives_up: bool | None = None
    """No attempt is left; only its end is still to be told."""

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

    def __init__(self, job: Job, units: UnitsOfWork, claims: JobClaims) -> None:
        self.job = job
        self.cancelled = False
        self.ending = False
        """Whether its end is being written, or is."""
        self.lost = False
        """Whether a heartbeat found that the job is somebody else's now."""
        self.result: dict[str, Any] = {}
        """What the job's end says about itself in the log, for a replay of the service."""
        self._units = units
        self._claims = claims
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
            self.ending = True

    async def _held(self, uow: UnitOfWork) -> JobRow:
        row = await self._claims.held(uow.session, self.job.key, self.job.attempt)
        if row is None:
            raise JobLost(f"{self.job.kind} {self.job.key}")
        return row


def _end(uow: UnitOfWork, row: JobRow, state: _Ended, result: dict[str, Any]) -> None:
    row.state, row.finished_at = state, uow.at
    row.owner = row.lease_until = row.gives_up = None
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
        self._claims = JobClaims(kind, database, owner, timedelta(seconds=lease_seconds))
        self._beat_seconds = lease_seconds / 5
        self._max_attempts = max_attempts
        self._concurrency = concurrency
        self._untold: dict[str, int] = {}
        """By key, how often a job's end could not be told in a row."""
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
            self._claims.running.clear()

    async def _loop(self) -> None:
        while True:
            try:
                if await self.work_one():
                    continue
            except asyncio.CancelledError:
                if _is_cancelled():
                    raise
                self._note_failure(asyncio.CancelledError())
            except Exception as error:  # noqa: BLE001 - e.g. the database is away; jobs stay in it
                self._note_failure(error)
            with contextlib.suppress(TimeoutError):  # the poll interval is over
                async with asyncio.timeout(_POLL_SECONDS):
                    await self._wake.wait()
            self._wake.clear()

    def _note_failure(self, error: BaseException) -> None:
        JOB_FAILURES.labels(self.kind).inc()
        _LOG.error("no job is worked on", kind=self.kind, exc_info=error)

    async def work_one(self) -> Job | None:
        """Claim one job and work on it to the end of this attempt; None when none is free."""
        row = await self._claims.claim()
        if row is None:
            return None
        job = Job.of(row)
        JOBS_RUNNING.labels(self.kind).inc()
        try:
            await self._attempt(job)
        finally:
            self._claims.running.discard(job.key)
            JOBS_RUNNING.labels(self.kind).dec()
        return job

    async def _attempt(self, job: Job) -> None:
        parent = telemetry.context_of((job.cause or {}).get("traceparent"))
        with telemetry.span(
            f"job {self.kind}",
            kind=SpanKind.INTERNAL,
            parent=parent,
            attributes={"headrace.job": job.key, telemetry.WORKLOAD: job.workload},
        ):
            if job.gives_up or job.cancel_requested:
                cancelled = job.cancel_requested and job.reason in (None, "cancelled")
                reason = "cancelled" if cancelled else job.reason or "cancelled"
                await self._give_up(job, reason, state="cancelled" if cancelled else "failed")
                return
            if job.attempt > self._max_attempts + _MOST_DEATHS:
                await self._give_up(job, f"its worker died in most of {job.attempt - 1} attempts")
                return
            await self._do(job)

    async def _do(self, job: Job) -> None:
        context = JobContext(job, self._units, self._claims)
        work = asyncio.create_task(self._run_work(context), name=f"work {self.kind}")
        heartbeat = asyncio.create_task(self._heartbeat(context, work), name=f"beat {self.kind}")
        try:
            await work
            if not context.ending:  # else it would be claimed again at once, for ever
                await self._failed_attempt(job, JobLeftOpen())
        except asyncio.CancelledError as error:
            if _is_cancelled():  # the process stops
                work.cancel()
                await asyncio.gather(work, return_exceptions=True)
                await self._claims.put_back(job.key, job.attempt)
                raise
            if context.lost:
                _LOG.warning("job lost to another replica", kind=self.kind, job=job.key)
            elif context.cancelled:
                await self._give_up(job, "cancelled", state="cancelled")
            else:  # a cancellation that nobody here asked for came out of the work
                await self._failed_attempt(job, error)
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
        job = context.job
        while True:
            await asyncio.sleep(self._beat_seconds)
            try:
                cancel = await self._claims.renew(job.key, job.attempt)
            except Exception as error:  # noqa: BLE001 - see below
                # While the database is away nobody else can claim the job either. Should the
                # lease run out, the next beat that gets through says whether it is still ours.
                _LOG.warning("missed a heartbeat", kind=self.kind, error=type(error).__name__)
                continue
            if cancel is None and context.ending:
                return
            if cancel is None:
                context.lost = True
                work.cancel()
                return
            if cancel and not context.cancelled:
                context.cancelled = True
                work.cancel()

    async def _failed_attempt(self, job: Job, error: BaseException) -> None:
        reason = f"{type(error).__name__} at attempt {job.attempt} of {self._max_attempts}"
        _LOG.error("job failed", kind=self.kind, job=job.key, reason=reason, exc_info=error)
        if job.attempt >= self._max_attempts:
            await self._give_up(job, reason)
            return
        wait = _BACKOFF[min(job.attempt, len(_BACKOFF)) - 1]
        await self._claims.put_back(job.key, job.attempt, reason=reason, wait=wait)

    async def _give_up(self, job: Job, reason: str, state: _Ended = "failed") -> None:
        _LOG.error("job given up", kind=self.kind, job=job.key, reason=reason)
        try:
            await self._tell_end(job, reason, state)
        except Exception as error:  # noqa: BLE001 - whatever it was: the end is told later
            await self._hold_end(job, reason, error)
        else:
            self._untold.pop(job.key, None)

    async def _tell_end(self, job: Job, reason: str, state: _Ended) -> None:
        now = datetime.now(UTC)
        async with self._units.begin(job.causing_event(), job.workload, now) as uow:
            row = await self._claims.held(uow.session, job.key, job.attempt)
            if row is None:
                return
            row.reason = reason
            if self._failed:
                await self._failed(job, reason, uow)
            _end(uow, row, state, {})
            if job.gives_up and not await self._held_ends(uow.session):
                uow.emit(AlertResolved(name=self._alert), workload=_ALERTS)

    async def _hold_end(self, job: Job, reason: str, error: Exception) -> None:
        """Keep a job whose end cannot be told, out of the way of the others, and raise an alert.

        The end is never left out: others wait for its event. It is tried for ever, ever more
        seldom; the work itself is not done again.
        """
        times = self._untold[job.key] = self._untold.get(job.key, 0) + 1
        wait = min(_LONGEST_BACKOFF, _BACKOFF[0] * 2.0 ** min(times - 1, 10))
        JOB_FAILURES.labels(self.kind).inc()
        _LOG.error(
            "a job's end cannot be told", kind=self.kind, job=job.key, times=times, exc_info=error
        )
        async with self._units.begin(workload=_ALERTS) as uow:
            row = await self._claims.held(uow.session, job.key, job.attempt)
            if row is None:
                return
            if not row.gives_up:
                what = f"the end of a {self.kind} job cannot be told: {type(error).__name__}"
                uow.emit(
                    AlertRaised(
                        name=self._alert,
                        severity="critical",
                        summary=what,
                        next_step="The log of the service that does these jobs says why; it tries "
                        "again by itself.",
                    )
                )
            row.state, row.owner, row.lease_until = "queued", None, None
            row.gives_up, row.reason = True, reason
            row.not_before = datetime.now(UTC) + timedelta(seconds=wait)

    @property
    def _alert(self) -> str:
        return f"job-end/{self.kind}"

    async def _held_ends(self, session: AsyncSession) -> int:
        held = select(func.count()).where(JobRow.kind == self.kind, JobRow.gives_up.is_(True))
        return await session.scalar(held.where(JobRow.state.in_(OPEN))) or 0

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
        if row is None or row.state not in OPEN:
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


def _is_cancelled() -> bool:
    """Say whether somebody cancelled this task: libraries let cancellations of their own out."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0

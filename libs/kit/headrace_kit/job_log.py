"""Jobs as the event log has them: written down again by a replay, found by cause, forgotten."""

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import delete, select, tuple_

from headrace_events import Event
from headrace_events.jobs import JobFinished, JobQueued
from headrace_kit.database import Database, JobRow
from headrace_kit.jobs import Job
from headrace_kit.unit_of_work import UnitOfWork

_AT_ONCE = 1000


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
            cause_id=event.causationid,
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
    if not event.causationid:
        return None
    row = await uow.session.scalar(
        select(JobRow)
        .where(JobRow.kind == kind, JobRow.cause_id == event.causationid)
        .order_by(JobRow.created_at.desc())
        .limit(1)
    )
    return Job.of(row) if row else None


async def forget_ended_jobs(database: Database, keep: timedelta) -> int:
    """Delete jobs that ended so long ago, a few at a time: handlers write in between."""
    old = (
        select(JobRow.kind, JobRow.key)
        .where(JobRow.finished_at < datetime.now(UTC) - keep)
        .limit(_AT_ONCE)
    )
    deleted = 0
    while True:
        async with database.transaction() as session:
            keys = (await session.execute(old)).all()
            if keys:
                named = tuple_(JobRow.kind, JobRow.key).in_([tuple(key) for key in keys])
                await session.execute(delete(JobRow).where(named))
        deleted += len(keys)
        if len(keys) < _AT_ONCE:
            return deleted

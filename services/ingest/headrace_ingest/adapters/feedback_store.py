"""Feedback in the database: the newest per request, until a raw batch takes it up."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import ColumnElement, delete, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from headrace_events.inference import FeedbackGiven
from headrace_ingest.adapters.tables import CaptureRow, FeedbackRow
from headrace_ingest.core.records import digest
from headrace_ingest.core.traffic import COMPLETED, is_usable

MOST_IN_BATCH = 2000
"""Requests; an id has up to 128 characters, an event a megabyte, a query 32,766 variables."""

_FORGET_AT_ONCE = 2000
_UNJUDGED: tuple[ColumnElement[bool], ...] = (
    FeedbackRow.judged.is_(False),
    CaptureRow.record.is_(None),
)
"""Feedback that is not in the traffic table, while its request is."""


@dataclass(frozen=True, slots=True)
class Unjudged:
    """Feedback that is not in the traffic table, on a request that is."""

    request_id: str
    rating: int
    correction: str | None
    revision: int
    requested_at: datetime


async def put(session: AsyncSession, feedback: FeedbackGiven, workload: str, at: datetime) -> None:
    """Keep the newest feedback on a request; it counts again for the next batch."""
    row = await session.get(FeedbackRow, feedback.request_id)
    if row is None:
        row = FeedbackRow(request_id=feedback.request_id, workload=workload, revision=0)
        session.add(row)
    row.rating, row.correction, row.given_at = feedback.rating, feedback.correction, at
    row.usable, row.judged, row.batch_id = is_usable(feedback), False, None
    row.revision += 1


async def take_up(
    session: AsyncSession, workload: str, at_least: int
) -> list[tuple[str, list[str]]]:
    """Claim all usable feedback of a workload, once there is enough of it.

    Return batches, each its id and its requests; none while too few wait. Feedback waits until its
    request was captured. What has gathered for long is several batches: one names its requests in
    an event and in a query, which take so many and no more.
    """
    waiting = (
        await session.execute(
            select(FeedbackRow.request_id, FeedbackRow.revision)
            .join(CaptureRow, CaptureRow.request_id == FeedbackRow.request_id)
            .where(
                CaptureRow.workload == workload,
                CaptureRow.outcome == COMPLETED,
                FeedbackRow.usable,
                FeedbackRow.batch_id.is_(None),
            )
            .order_by(FeedbackRow.request_id)
        )
    ).all()
    if len(waiting) < at_least:
        return []
    batches = []
    for start in range(0, len(waiting), MOST_IN_BATCH):
        part = waiting[start : start + MOST_IN_BATCH]
        batch_id = digest("traffic", workload, *(f"{name}:{revision}" for name, revision in part))
        requests = [name for name, _ in part]
        await put_into(session, batch_id, requests)
        batches.append((batch_id, requests))
    return batches


async def put_into(session: AsyncSession, batch_id: str, requests: Sequence[str]) -> None:
    """Note which batch took feedback up."""
    await session.execute(
        update(FeedbackRow).where(FeedbackRow.request_id.in_(requests)).values(batch_id=batch_id)
    )


async def workloads_of_feedback(session: AsyncSession, request_ids: Sequence[str]) -> set[str]:
    """Return the workloads of those requests on which feedback was waiting."""
    return set(
        await session.scalars(
            select(CaptureRow.workload)
            .join(FeedbackRow, CaptureRow.request_id == FeedbackRow.request_id)
            .where(CaptureRow.request_id.in_(request_ids))
        )
    )


async def is_judging_due(session: AsyncSession, rows: int, seconds: float) -> bool:
    """Whether so much feedback waits for the traffic table, or some for so long."""
    waiting = (
        select(FeedbackRow.given_at)
        .join(CaptureRow, CaptureRow.request_id == FeedbackRow.request_id)
        .where(*_UNJUDGED)
    )
    limit = datetime.now(UTC) - timedelta(seconds=seconds)
    old = or_(FeedbackRow.given_at.is_(None), FeedbackRow.given_at <= limit)
    if await session.scalar(select(waiting.where(old).exists())):
        return True
    counted = select(func.count()).select_from(waiting.limit(rows).subquery())
    return (await session.scalar(counted) or 0) >= rows


async def unjudged(session: AsyncSession, limit: int) -> dict[str, list[Unjudged]]:
    """Return, by workload, feedback whose request is in the traffic table and which is not."""
    rows = await session.execute(
        select(FeedbackRow, CaptureRow.workload, CaptureRow.created_at)
        .join(CaptureRow, CaptureRow.request_id == FeedbackRow.request_id)
        .where(*_UNJUDGED)
        .order_by(FeedbackRow.request_id)
        .limit(limit)
    )
    found: dict[str, list[Unjudged]] = {}
    for row, workload, created_at in rows:
        found.setdefault(workload, []).append(
            Unjudged(row.request_id, row.rating, row.correction, row.revision, created_at)
        )
    return found


async def mark_judged(session: AsyncSession, done: Sequence[Unjudged]) -> None:
    """Forget the text of feedback that is in the table, unless newer feedback replaced it."""
    for feedback in done:
        await session.execute(
            update(FeedbackRow)
            .where(
                FeedbackRow.request_id == feedback.request_id,
                FeedbackRow.revision == feedback.revision,
            )
            .values(judged=True, correction=None)
        )


async def forget(session: AsyncSession, before: datetime) -> int:
    """Delete some feedback older than `before` whose request is not known, or not any more.

    Anybody may give feedback on an id that no request has. Returns how many rows went: the caller
    goes on while there are any.
    """
    await session.execute(
        update(FeedbackRow).where(FeedbackRow.given_at.is_(None)).values(given_at=datetime.now(UTC))
    )
    captured = select(CaptureRow.request_id).where(CaptureRow.request_id == FeedbackRow.request_id)
    old = (
        select(FeedbackRow.request_id)
        .where(FeedbackRow.given_at < before, ~captured.exists())
        .limit(_FORGET_AT_ONCE)
    )
    done = await session.execute(
        delete(FeedbackRow)
        .where(FeedbackRow.request_id.in_(old.scalar_subquery()))
        .returning(FeedbackRow.request_id)
    )
    return len(done.all())


async def members(session: AsyncSession, batch_id: str) -> list[str]:
    """Return the request ids that a batch took up."""
    return list(
        await session.scalars(
            select(FeedbackRow.request_id).where(FeedbackRow.batch_id == batch_id)
        )
    )


async def set_judged(
    session: AsyncSession, judged: Mapping[str, tuple[int | None, str | None]]
) -> None:
    """Forget the text of feedback that stands in the traffic table as (rating, correction)."""
    for request_id, (rating, correction) in judged.items():
        row = await session.get(FeedbackRow, request_id)
        if row and (row.rating, row.correction) == (rating, correction):
            row.judged, row.correction = True, None

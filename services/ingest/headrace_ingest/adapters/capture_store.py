"""Captured requests in the database: staged, taken for a flush, and known by their ids after it."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, cast

from sqlalchemy import Table, delete, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from headrace_ingest.adapters.tables import CaptureRow, FlushRow
from headrace_ingest.core.traffic import FIELDS, Interaction

_CAPTURES = cast("Table", CaptureRow.__table__)
REPLAYED = "replayed"
"""In place of a flush's id, which no event tells."""


async def stage(session: AsyncSession, captured: Sequence[tuple[str, Interaction]]) -> int:
    """Stage (workload, interaction) pairs; a request that is known already is left as it is."""
    by_id = {c.request_id: (workload, c) for workload, c in captured}
    if not by_id:
        return 0
    known = set(
        await session.scalars(
            select(CaptureRow.request_id).where(CaptureRow.request_id.in_(list(by_id)))
        )
    )
    new = [pair for request_id, pair in by_id.items() if request_id not in known]
    # Into the table, past the ORM: nobody touches these rows as objects.
    rows = [
        {
            "request_id": c.request_id,
            "workload": workload,
            "outcome": c.outcome,
            "created_at": c.created_at,
            "record": _record(c),
        }
        for workload, c in new
    ]
    if rows:
        await session.execute(insert(_CAPTURES), rows)
    return len(rows)


async def due_workloads(session: AsyncSession, rows: int, seconds: float) -> list[str]:
    """Return the workloads with so many staged requests, or one that has waited so long."""
    waiting = await session.execute(
        select(CaptureRow.workload, func.count(), func.min(CaptureRow.created_at))
        .where(CaptureRow.flush_id.is_(None))
        .group_by(CaptureRow.workload)
    )
    limit = datetime.now(UTC) - timedelta(seconds=seconds)
    return [name for name, count, oldest in waiting if count >= rows or _aware(oldest) <= limit]


async def take(session: AsyncSession, workload: str, flush_id: str, limit: int) -> int:
    """Put the oldest staged requests of a workload into a flush; return how many."""
    ids = list(
        await session.scalars(
            select(CaptureRow.request_id)
            .where(CaptureRow.workload == workload, CaptureRow.flush_id.is_(None))
            .order_by(CaptureRow.created_at, CaptureRow.request_id)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
    )
    if ids:
        session.add(FlushRow(flush_id=flush_id, workload=workload))
        await session.execute(
            update(CaptureRow).where(CaptureRow.request_id.in_(ids)).values(flush_id=flush_id)
        )
    return len(ids)


async def open_flushes(session: AsyncSession, workload: str | None = None) -> list[tuple[str, str]]:
    """Return (flush id, workload) of the flushes that are not known to be in the table."""
    query = select(FlushRow.flush_id, FlushRow.workload).order_by(FlushRow.flush_id)
    if workload:
        query = query.where(FlushRow.workload == workload)
    return [(flush_id, name) for flush_id, name in await session.execute(query)]


async def flushing(session: AsyncSession, flush_id: str) -> list[Interaction]:
    """Return what a flush holds, in its order."""
    records = await session.scalars(
        select(CaptureRow.record)
        .where(CaptureRow.flush_id == flush_id, CaptureRow.record.is_not(None))
        .order_by(CaptureRow.created_at, CaptureRow.request_id)
    )
    return [_interaction(record) for record in records if record]


async def close(session: AsyncSession, flush_id: str) -> None:
    """Forget the text of a flush that is in the table."""
    await session.execute(
        update(CaptureRow).where(CaptureRow.flush_id == flush_id).values(record=None)
    )
    await session.execute(delete(FlushRow).where(FlushRow.flush_id == flush_id))


async def staged(session: AsyncSession) -> dict[str, dict[str, datetime]]:
    """Return, by workload, the requests whose text is still here, and their times."""
    rows = await session.execute(
        select(CaptureRow.workload, CaptureRow.request_id, CaptureRow.created_at).where(
            CaptureRow.record.is_not(None)
        )
    )
    found: dict[str, dict[str, datetime]] = {}
    for workload, request_id, created_at in rows:
        found.setdefault(workload, {})[request_id] = _aware(created_at)
    return found


async def set_flushed(session: AsyncSession, request_ids: Sequence[str]) -> None:
    """Forget the text of requests that are in the traffic table."""
    for request_id in request_ids:
        await session.execute(
            update(CaptureRow)
            .where(CaptureRow.request_id == request_id)
            .values(record=None, flush_id=REPLAYED)
        )


async def forget(session: AsyncSession, before: datetime) -> None:
    """Delete the ids of flushed requests whose events have left their topic."""
    await session.execute(
        delete(CaptureRow).where(CaptureRow.created_at < before, CaptureRow.record.is_(None))
    )


async def waiting_workloads(session: AsyncSession, before: datetime) -> list[str]:
    """Return the workloads with staged requests older than `before`."""
    return list(
        await session.scalars(
            select(CaptureRow.workload)
            .where(CaptureRow.flush_id.is_(None), CaptureRow.created_at < before)
            .distinct()
        )
    )


async def drop(session: AsyncSession, workload: str, before: datetime) -> int:
    """Delete a workload's staged requests older than `before`; return how many there were."""
    done = await session.execute(
        delete(CaptureRow)
        .where(
            CaptureRow.workload == workload,
            CaptureRow.flush_id.is_(None),
            CaptureRow.created_at < before,
        )
        .returning(CaptureRow.request_id)
    )
    return len(done.all())


async def requested_at(session: AsyncSession, request_ids: Sequence[str]) -> dict[str, datetime]:
    """Return when each of these requests was captured."""
    rows = await session.execute(
        select(CaptureRow.request_id, CaptureRow.created_at).where(
            CaptureRow.request_id.in_(request_ids)
        )
    )
    return {request_id: created_at for request_id, created_at in rows}


async def workload_of(session: AsyncSession, request_id: str) -> str | None:
    """Return the workload that a captured request asked."""
    return await session.scalar(
        select(CaptureRow.workload).where(CaptureRow.request_id == request_id)
    )


def _record(captured: Interaction) -> dict[str, Any]:
    record = {name: getattr(captured, name) for name in FIELDS}
    return record | {"created_at": captured.created_at.isoformat()}


def _interaction(record: dict[str, Any]) -> Interaction:
    return Interaction(**{**record, "created_at": datetime.fromisoformat(record["created_at"])})


def _aware(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)

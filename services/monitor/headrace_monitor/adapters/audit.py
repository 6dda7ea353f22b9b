"""The audit table: entries are appended with their event's transaction and sealed right after.

Sealing apart keeps handlers free of a lock on the chain's head; the unique position and previous
hash make a second sealer lose instead of forking the chain.
"""

from typing import Any

from sqlalchemy import Row, select
from sqlalchemy.ext.asyncio import AsyncSession

from headrace_monitor.adapters.tables import AuditRow
from headrace_monitor.core.audit import FIRST, Entry, Sealed, digest

# Small parts: between two of them others have the event loop.
_BATCH = 250


def append(session: AsyncSession, entry: Entry) -> None:
    """Add an entry; its place in the chain comes with sealing."""
    session.add(
        AuditRow(
            event_id=entry.event_id,
            type=entry.type,
            source=entry.source,
            workload=entry.workload,
            subject=entry.subject,
            time=entry.time,
            causation_id=entry.causation_id,
            trace_id=entry.trace_id,
            summary=entry.summary,
            facts=entry.facts,
        )
    )


async def seal(session: AsyncSession) -> int:
    """Chain the entries that are not yet in it; return how many there were."""
    last = await session.scalar(
        select(AuditRow)
        .where(AuditRow.position.is_not(None))
        .order_by(AuditRow.position.desc())
        .limit(1)
    )
    position, head = (last.position or 0, last.hash or FIRST) if last else (0, FIRST)
    open_rows = await session.scalars(
        select(AuditRow).where(AuditRow.position.is_(None)).order_by(AuditRow.seq).limit(_BATCH)
    )
    count = 0
    for row in open_rows:
        position += 1
        row.position, row.previous = position, head
        row.hash = head = digest(position, head, _entry(row))
        count += 1
    return count


_COLUMNS = (
    AuditRow.position,
    AuditRow.previous,
    AuditRow.hash,
    AuditRow.event_id,
    AuditRow.type,
    AuditRow.source,
    AuditRow.workload,
    AuditRow.subject,
    AuditRow.time,
    AuditRow.causation_id,
    AuditRow.trace_id,
    AuditRow.summary,
    AuditRow.facts,
)


async def after(session: AsyncSession, position: int, limit: int = _BATCH) -> list[Sealed]:
    """Return the sealed entries behind a position, in order."""
    rows = await session.execute(
        select(*_COLUMNS)
        .where(AuditRow.position > position)
        .order_by(AuditRow.position)
        .limit(limit)
    )
    return [_sealed(row) for row in rows]


# What nobody decides and is told every few seconds.
PROGRESS = ("training.progressed.v1",)


async def newest(
    session: AsyncSession, limit: int, workload: str | None = None, *, progress: bool = True
) -> list[Sealed]:
    """Return the newest sealed entries, newest first; without `progress` what was decided only."""
    query = select(*_COLUMNS).where(AuditRow.position.is_not(None))
    if workload:
        query = query.where(AuditRow.workload == workload)
    if not progress:
        query = query.where(AuditRow.type.not_in(PROGRESS))
    rows = await session.execute(query.order_by(AuditRow.position.desc()).limit(limit))
    return [_sealed(row) for row in rows]


def _entry(row: AuditRow) -> Entry:
    return Entry(
        event_id=row.event_id,
        type=row.type,
        source=row.source,
        workload=row.workload,
        subject=row.subject,
        time=row.time,
        causation_id=row.causation_id,
        trace_id=row.trace_id,
        summary=row.summary,
        facts=row.facts,
    )


def _sealed(row: Row[Any]) -> Sealed:
    position, previous, digest_, *entry = tuple(row)
    return Sealed(position or 0, previous or "", digest_ or "", Entry(*entry))

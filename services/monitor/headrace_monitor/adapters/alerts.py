"""Open and past alerts."""

from datetime import datetime

from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from headrace_monitor.adapters.tables import AlertRow

_SHOWN = 100
_SHOWN_IN_ALL = 2000


async def is_raised(session: AsyncSession, workload: str, name: str) -> bool:
    """Say whether an alert is open."""
    row = await session.get(AlertRow, (workload, name))
    return row is not None and row.resolved_at is None


async def put_raised(
    session: AsyncSession, workload: str, name: str, severity: str, summary: str, at: datetime
) -> None:
    """Open an alert, or renew it; what is older than the stored state changes nothing."""
    row = await session.get(AlertRow, (workload, name))
    if row is None:
        row = AlertRow(workload=workload, name=name, raised_at=at)
        session.add(row)
    elif at <= (row.resolved_at or row.raised_at):
        return
    elif row.resolved_at is not None:
        row.raised_at = at
    row.severity, row.summary, row.resolved_at = severity, summary, None


async def put_resolved(session: AsyncSession, workload: str, name: str, at: datetime) -> None:
    """Close an alert."""
    row = await session.get(AlertRow, (workload, name))
    if row and row.resolved_at is None and at >= row.raised_at:
        row.resolved_at = at


async def open_names(session: AsyncSession, prefix: str) -> list[AlertRow]:
    """Return the open alerts whose name begins so."""
    query = select(AlertRow).where(
        AlertRow.resolved_at.is_(None), AlertRow.name.startswith(prefix, autoescape=True)
    )
    return list(await session.scalars(query))


async def open_counts(session: AsyncSession) -> dict[tuple[str, str], int]:
    """Return how many alerts are open, by workload and severity."""
    query = (
        select(AlertRow.workload, AlertRow.severity, func.count())
        .where(AlertRow.resolved_at.is_(None))
        .group_by(AlertRow.workload, AlertRow.severity)
    )
    return {(w, severity): count for w, severity, count in await session.execute(query)}


async def prune(session: AsyncSession, before: datetime) -> None:
    """Forget alerts that were resolved long ago; the audit chain keeps what they said."""
    await session.execute(delete(AlertRow).where(AlertRow.resolved_at < before))


async def listed(session: AsyncSession, workload: str | None = None) -> list[AlertRow]:
    """Return alerts, open ones first, then the newest; so many of each workload."""
    first = AlertRow.resolved_at.is_not(None), AlertRow.raised_at.desc()
    place = func.row_number().over(partition_by=AlertRow.workload, order_by=first)
    ranked = select(AlertRow.workload, AlertRow.name, place.label("place"))
    if workload:
        ranked = ranked.where(AlertRow.workload == workload)
    ranks = ranked.subquery()
    query = (
        select(AlertRow)
        .join(ranks, (ranks.c.workload == AlertRow.workload) & (ranks.c.name == AlertRow.name))
        .where(ranks.c.place <= _SHOWN)
        .order_by(*first)
    )
    return list(await session.scalars(query.limit(_SHOWN_IN_ALL)))

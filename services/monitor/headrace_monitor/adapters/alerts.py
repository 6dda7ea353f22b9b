"""Open and past alerts: raised and resolved in the transaction that tells of it."""

from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import and_, delete, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.sql.elements import ColumnElement

from headrace_events.monitoring import AlertRaised, AlertResolved
from headrace_kit import UnitOfWork
from headrace_monitor.adapters.tables import AlertRow

PLATFORM = "headrace"
"""Workload of the alerts that concern a service and no workload."""
_SHOWN = 100
_SHOWN_IN_ALL = 2000


async def raise_in(uow: UnitOfWork, workload: str, alert: AlertRaised) -> None:
    """Raise an alert, or renew one whose words or severity changed; else nothing happens."""
    row = await uow.session.get(AlertRow, (workload, alert.name))
    if (
        row is not None
        and row.resolved_at is None
        and (row.severity, row.summary) == (alert.severity, alert.summary)
    ):
        return
    event = uow.emit(alert, workload=workload, discriminator=alert.name)
    await put_raised(uow.session, workload, alert, event.time)


async def end_in(uow: UnitOfWork, workload: str, name: str, reason: str = "") -> None:
    """Resolve an alert if it is open."""
    if not await is_raised(uow.session, workload, name):
        return
    resolved = AlertResolved(name=name, reason=reason)
    event = uow.emit(resolved, workload=workload, discriminator=name)
    await put_resolved(uow.session, workload, name, event.time, reason)


async def is_raised(session: AsyncSession, workload: str, name: str) -> bool:
    """Say whether an alert is open."""
    row = await session.get(AlertRow, (workload, name))
    return row is not None and row.resolved_at is None


async def put_raised(
    session: AsyncSession, workload: str, alert: AlertRaised, at: datetime
) -> None:
    """Open an alert, or renew it; what is older than the stored state changes nothing."""
    row = await session.get(AlertRow, (workload, alert.name))
    if row is None:
        row = AlertRow(workload=workload, name=alert.name, raised_at=at)
        session.add(row)
    elif at <= (row.resolved_at or row.raised_at):
        return
    elif row.resolved_at is not None:
        row.raised_at, row.acknowledged_at, row.acknowledged_reason = at, None, None
    row.severity, row.summary, row.next_step = alert.severity, alert.summary, alert.next_step
    row.resolved_at = row.resolved_reason = None


async def put_resolved(
    session: AsyncSession, workload: str, name: str, at: datetime, reason: str = ""
) -> None:
    """Close an alert."""
    row = await session.get(AlertRow, (workload, name))
    if row and row.resolved_at is None and at >= row.raised_at:
        row.resolved_at, row.resolved_reason = at, reason


async def put_acknowledged(
    session: AsyncSession, workload: str, name: str, at: datetime, reason: str
) -> None:
    """Note that a person looks at it; an opening of later is another one."""
    row = await session.get(AlertRow, (workload, name))
    if row and at >= row.raised_at and (row.resolved_at is None or at <= row.resolved_at):
        row.acknowledged_at, row.acknowledged_reason = at, reason


async def put_silenced(
    session: AsyncSession, workload: str, name: str, at: datetime, until: datetime, reason: str
) -> None:
    """Silence it until a moment; the newest wish counts."""
    row = await session.get(AlertRow, (workload, name))
    if row and (row.silenced_at is None or at >= row.silenced_at):
        row.silenced_at, row.silenced_until, row.silenced_reason = at, until, reason


async def open_names(
    session: AsyncSession, prefix: str, workload: str | None = None
) -> list[AlertRow]:
    """Return the open alerts whose name begins so, of one workload or of all."""
    query = select(AlertRow).where(
        AlertRow.resolved_at.is_(None), AlertRow.name.startswith(prefix, autoescape=True)
    )
    if workload is not None:
        query = query.where(AlertRow.workload == workload)
    return list(await session.scalars(query))


async def open_counts(session: AsyncSession) -> dict[tuple[str, str], int]:
    """Return how many alerts are open and not silenced, by workload and severity."""
    query = (
        select(AlertRow.workload, AlertRow.severity, func.count())
        .where(AlertRow.resolved_at.is_(None), _heard())
        .group_by(AlertRow.workload, AlertRow.severity)
    )
    return {(w, severity): count for w, severity, count in await session.execute(query)}


def _heard() -> ColumnElement[bool]:
    return or_(AlertRow.silenced_until.is_(None), AlertRow.silenced_until <= datetime.now(UTC))


async def prune(session: AsyncSession, before: datetime) -> None:
    """Forget alerts that were resolved long ago; the audit chain keeps what they said."""
    silent = AlertRow.silenced_until.is_not(None) & (AlertRow.silenced_until > datetime.now(UTC))
    await session.execute(delete(AlertRow).where(AlertRow.resolved_at < before, ~silent))


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


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which alerts a list holds; None: whatever it is."""

    open: bool | None = None
    workload: str | None = None
    severity: str | None = None
    since: datetime | None = None
    """Open at some time since then."""


async def page(
    session: AsyncSession, wanted: Wanted, after: tuple[datetime, str, str] | None, limit: int
) -> list[AlertRow]:
    """Return the part of a list that follows a place, the newest raised first."""
    row = AlertRow
    query = select(row).order_by(row.raised_at.desc(), row.workload, row.name).limit(limit)
    if wanted.open is not None:
        query = query.where(row.resolved_at.is_(None) == wanted.open)
    if wanted.workload is not None:
        query = query.where(row.workload == wanted.workload)
    if wanted.severity is not None:
        query = query.where(row.severity == wanted.severity)
    if wanted.since is not None:
        query = query.where(or_(row.resolved_at.is_(None), row.resolved_at >= wanted.since))
    if after:
        at, workload, name = after
        later = or_(row.workload > workload, and_(row.workload == workload, row.name > name))
        query = query.where(or_(row.raised_at < at, and_(row.raised_at == at, later)))
    return list(await session.scalars(query))


async def keys(session: AsyncSession) -> list[tuple[str, str]]:
    """Return workload and name of every alert that is kept."""
    return [(w, n) for w, n in await session.execute(select(AlertRow.workload, AlertRow.name))]

"""What datasets there are, in the database: versions, and why there is no next one."""

from collections.abc import Sequence

from sqlalchemy import Row, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from headrace_data_quality.adapters.plans import CURATED
from headrace_data_quality.adapters.tables import BatchRow, RefusalRow, VersionRow

LAST_VERSION = 2**31 - 1
"""PostgreSQL's INTEGER ends there."""


async def newest(session: AsyncSession) -> list[VersionRow | RefusalRow]:
    """Return each workload's newest version, and why there is no next one, by name."""
    last = (
        select(VersionRow.workload, func.max(VersionRow.version).label("version"))
        .group_by(VersionRow.workload)
        .subquery()
    )
    made = select(VersionRow).join(
        last, (VersionRow.workload == last.c.workload) & (VersionRow.version == last.c.version)
    )
    rows: list[VersionRow | RefusalRow] = [
        *(await session.scalars(made)),
        *(await session.scalars(select(RefusalRow))),
    ]
    return sorted(rows, key=lambda row: (row.workload, row.version))


async def versions(
    session: AsyncSession, workload: str, before: int | None, limit: int
) -> list[VersionRow | RefusalRow]:
    """Return up to `limit` versions, the newest first, below `before`."""
    rows: list[VersionRow | RefusalRow] = []
    top = LAST_VERSION if before is None else before - 1
    for table in (VersionRow, RefusalRow):
        query = (
            select(table)
            .where(table.workload == workload, table.version <= min(top, LAST_VERSION))
            .order_by(table.version.desc())
            .limit(limit)
        )
        rows += await session.scalars(query)
    return sorted(rows, key=lambda row: -row.version)[:limit]


async def find(session: AsyncSession, workload: str, number: int) -> VersionRow | RefusalRow | None:
    """Return a version, or why there is none of that number yet."""
    if not 0 < number <= LAST_VERSION:
        return None  # no database has a column for it
    made = await session.get(VersionRow, (workload, number))
    return made or await session.get(RefusalRow, (workload, number))


async def inputs(session: AsyncSession, workload: str, number: int) -> Sequence[Row[str, int, int]]:
    """Return each source of a version with its batches and rows, before anything was dropped."""
    query = (
        select(BatchRow.source, func.count(), func.sum(BatchRow.rows))
        .where(BatchRow.workload == workload, BatchRow.state == CURATED, BatchRow.version <= number)
        .group_by(BatchRow.source)
        .order_by(BatchRow.source)
    )
    return (await session.execute(query)).all()


async def waiting(session: AsyncSession, workload: str, limit: int) -> Sequence[Row[str, str, int]]:
    """Return the batches that wait, the oldest first."""
    query = (
        select(BatchRow.batch_id, BatchRow.source, BatchRow.rows)
        .where(BatchRow.workload == workload, BatchRow.state == "pending")
        .order_by(BatchRow.announced_at)
        .limit(limit)
    )
    return (await session.execute(query)).all()

"""Batches and plans in the database."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import cast

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from headrace_data_quality.adapters.tables import BatchRow, PlanRow, VersionRow
from headrace_data_quality.core.versions import Plan, Trigger, plan_id
from headrace_events.data import RecordsLanded
from headrace_events.references import TableRef

PENDING, CURATED, USED_UP = "pending", "curated", "used_up"
OPEN, DONE, REJECTED = "open", "done", "rejected"


async def add_batch(
    session: AsyncSession, workload: str, landed: RecordsLanded, at: datetime
) -> None:
    """Note a batch that was announced; one that is known is left as it is."""
    if await session.get(BatchRow, landed.batch_id):
        return
    session.add(
        BatchRow(
            batch_id=landed.batch_id,
            workload=workload,
            source=landed.source,
            rows=landed.rows,
            table_uri=landed.table.uri,
            table_version=landed.table.version,
            state=PENDING,
            announced_at=at,
        )
    )


async def pending(session: AsyncSession, workload: str) -> list[BatchRow]:
    """Return the batches that wait to be curated, in the order of their arrival."""
    rows = await session.scalars(
        select(BatchRow)
        .where(BatchRow.workload == workload, BatchRow.state == PENDING)
        .order_by(BatchRow.announced_at, BatchRow.batch_id)
    )
    return list(rows)


async def find_open(session: AsyncSession, workload: str) -> Plan | None:
    """Return the plan that somebody is at, or left open when killed."""
    row = await session.scalar(
        select(PlanRow).where(PlanRow.workload == workload, PlanRow.state == OPEN)
    )
    return await _plan(session, row) if row else None


async def make(session: AsyncSession, workload: str, trigger: Trigger, at: datetime) -> Plan | None:
    """Fix what the next curation reads; None if nothing waits, or the same was rejected before."""
    waiting = await pending(session, workload)
    if not waiting:
        return None
    previous = await newest_version(session, workload)
    version = (previous.version if previous else 0) + 1
    batches = [batch.batch_id for batch in waiting]
    identity = plan_id(workload, version, batches)
    row = await session.get(PlanRow, identity)
    if row is not None and trigger == "records":
        return None
    if row is None:
        row = PlanRow(plan_id=identity, workload=workload, version=version, batches=batches)
        session.add(row)
    row.previous_version, row.trigger, row.state = version - 1, trigger, OPEN
    row.created_at = at
    await session.flush()
    return await _plan(session, row)


async def restore(
    session: AsyncSession,
    workload: str,
    version: int,
    batches: Sequence[str],
    trigger: Trigger,
    at: datetime,
) -> Plan:
    """Make a plan again that the log says was carried out."""
    identity = plan_id(workload, version, batches)
    row = await session.get(PlanRow, identity)
    if row is None:
        row = PlanRow(plan_id=identity, workload=workload, version=version, batches=list(batches))
        session.add(row)
    row.previous_version, row.trigger, row.state, row.created_at = version - 1, trigger, OPEN, at
    await session.flush()
    return await _plan(session, row)


async def close(session: AsyncSession, plan: Plan, state: str) -> bool:
    """Close a plan; return False if another worker did so before."""
    row = await session.get(PlanRow, plan.plan_id, with_for_update=True)
    if row is None or row.state != OPEN:
        return False
    row.state = state
    return True


async def settle_batches(
    session: AsyncSession, plan: Plan, state: str, version: int | None = None
) -> None:
    """Note what became of a plan's batches."""
    await session.execute(
        update(BatchRow)
        .where(BatchRow.batch_id.in_(plan.batches))
        .values(state=state, version=version)
    )


async def newest_version(session: AsyncSession, workload: str) -> VersionRow | None:
    """Return the newest dataset version, or None."""
    return await session.scalar(
        select(VersionRow)
        .where(VersionRow.workload == workload)
        .order_by(VersionRow.version.desc())
        .limit(1)
    )


async def newest_arrival(session: AsyncSession, workload: str) -> datetime | None:
    """Return when the last waiting batch was announced."""
    found = await session.scalar(
        select(func.max(BatchRow.announced_at)).where(
            BatchRow.workload == workload, BatchRow.state == PENDING
        )
    )
    return found if found is None or found.tzinfo else found.replace(tzinfo=UTC)


async def _plan(session: AsyncSession, row: PlanRow) -> Plan:
    batches = await _batches(session, row.batches)
    previous = await session.get(VersionRow, (row.workload, row.previous_version))
    newest = max(batches, key=lambda batch: batch.table_version)
    # The rows of the versions before are in this one too.
    sources = [*await _earlier_sources(session, row), *(batch.source for batch in batches)]
    return Plan(
        plan_id=row.plan_id,
        workload=row.workload,
        version=row.version,
        previous_version=row.previous_version,
        previous=(
            TableRef(uri=previous.table_uri, version=previous.table_version) if previous else None
        ),
        raw=TableRef(uri=newest.table_uri, version=newest.table_version),
        batches=tuple(row.batches),
        sources=tuple(dict.fromkeys(sources)),
        trigger=cast("Trigger", row.trigger),
    )


async def _earlier_sources(session: AsyncSession, row: PlanRow) -> Sequence[str]:
    """Return where the rows of the previous version came from, the oldest first."""
    found = await session.scalars(
        select(BatchRow.source)
        .where(
            BatchRow.workload == row.workload,
            BatchRow.state == CURATED,
            BatchRow.version <= row.previous_version,
        )
        .group_by(BatchRow.source)
        .order_by(func.min(BatchRow.version), func.min(BatchRow.announced_at), BatchRow.source)
    )
    return found.all()


async def _batches(session: AsyncSession, ids: Sequence[str]) -> list[BatchRow]:
    rows = {
        row.batch_id: row
        for row in await session.scalars(select(BatchRow).where(BatchRow.batch_id.in_(ids)))
    }
    return [rows[batch_id] for batch_id in ids]

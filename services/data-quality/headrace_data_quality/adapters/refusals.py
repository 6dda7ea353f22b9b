"""Why there is no next version of a dataset, in the database."""

from datetime import datetime

from sqlalchemy import delete
from sqlalchemy.ext.asyncio import AsyncSession

from headrace_data_quality.adapters.tables import RefusalRow
from headrace_data_quality.core.versions import Plan
from headrace_events.data import DatasetRejected


async def note(session: AsyncSession, plan: Plan, refused: DatasetRejected, at: datetime) -> None:
    """Write down why the plan made no version; what was said of that version before is gone."""
    await session.merge(
        RefusalRow(
            workload=plan.workload,
            version=plan.version,
            reason=refused.reason,
            rejects=refused.rejects,
            rejects_id=refused.rejects_id,
            used_up=refused.used_up,
            batches=list(refused.batches),
            sources=list(plan.sources),
            created_at=at,
        )
    )


async def forget(session: AsyncSession, plan: Plan) -> None:
    """The version is there after all."""
    await session.execute(
        delete(RefusalRow).where(
            RefusalRow.workload == plan.workload, RefusalRow.version == plan.version
        )
    )

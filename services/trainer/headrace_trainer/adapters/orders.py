"""The order inside a job's row."""

from sqlalchemy.ext.asyncio import AsyncSession

from headrace_kit.database import JobRow
from headrace_trainer.core.specification import Order


async def keep_order(session: AsyncSession, kind: str, order: Order) -> None:
    """Write the settled recipe back, so that every later attempt takes the same one."""
    row = await session.get(JobRow, (kind, order.job_id))
    if row is not None:
        row.payload = order.model_dump(mode="json")

"""Roll-outs under judgement."""

from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from headrace_events import Event
from headrace_events.rollout import RolloutFinished, RolloutStarted, RolloutStepped
from headrace_monitor.adapters.tables import RolloutRow


async def open_rollout(session: AsyncSession, event: Event[RolloutStarted]) -> None:
    """Open the first step's window; a newer roll-out of the workload ends the older one."""
    started = event.data
    await session.execute(
        update(RolloutRow)
        .where(RolloutRow.workload == event.workload, RolloutRow.started_at <= event.time)
        .values(running=False)
    )
    row = await session.get(RolloutRow, started.rollout_id)
    if row is not None:
        row.running = True
        return
    session.add(
        RolloutRow(
            rollout_id=started.rollout_id,
            workload=event.workload,
            candidate=started.candidate.version,
            incumbent=started.incumbent.version,
            step=started.step,
            weight=started.weight,
            started_at=event.time,
            opened_at=event.time,
            cause=event.model_dump(mode="json"),
        )
    )


async def open_step(session: AsyncSession, event: Event[RolloutStepped]) -> None:
    """Open the window of a later step."""
    row = await session.get(RolloutRow, event.data.rollout_id)
    if row and event.data.step > row.step:
        row.step, row.weight = event.data.step, event.data.weight
        row.opened_at, row.cause = event.time, event.model_dump(mode="json")


async def close(session: AsyncSession, event: Event[RolloutFinished]) -> None:
    """End the judging."""
    if row := await session.get(RolloutRow, event.data.rollout_id):
        row.running = False


async def running(session: AsyncSession) -> list[RolloutRow]:
    """Return the roll-outs whose step may be judged, oldest first."""
    query = select(RolloutRow).where(RolloutRow.running).order_by(RolloutRow.opened_at)
    return list(await session.scalars(query))


async def mark_judged(session: AsyncSession, rollout_id: str, step: int) -> bool:
    """Take the right to judge a step; False if it was judged already."""
    taken = await session.execute(
        update(RolloutRow)
        .where(RolloutRow.rollout_id == rollout_id, RolloutRow.judged_step < step)
        .values(judged_step=step)
        .returning(RolloutRow.rollout_id)
    )
    return taken.first() is not None


def cause(row: RolloutRow) -> Event[RolloutStarted] | Event[RolloutStepped]:
    """Return the event that opened the row's step: what its judgement is an outcome of."""
    if row.cause["data"].get("steps") is not None:
        return Event[RolloutStarted].model_validate(row.cause)
    return Event[RolloutStepped].model_validate(row.cause)


def incumbent_since(row: RolloutRow) -> datetime:
    """Return from when the incumbent's requests count: at weight 100 it gets none any more."""
    return row.started_at if row.weight >= 100 else row.opened_at

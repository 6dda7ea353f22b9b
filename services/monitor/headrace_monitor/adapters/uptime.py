"""Starts of services and their dead letters that nobody has dealt with."""

from datetime import datetime

from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from headrace_monitor.adapters.tables import LetterRow, StartRow


async def put_start(
    session: AsyncSession, event_id: str, service: str, instance: str, at: datetime
) -> None:
    """Note a start, once."""
    if await session.get(StartRow, event_id) is None:
        session.add(StartRow(event_id=event_id, service=service, instance=instance, at=at))
        await session.flush()


async def starts(
    session: AsyncSession, service: str, instance: str | None, since: datetime
) -> list[datetime]:
    """Return when a service, or one replica of it, started since a moment, oldest first."""
    query = select(StartRow.at).where(StartRow.service == service, StartRow.at >= since)
    if instance is not None:
        query = query.where(StartRow.instance == instance)
    return list(await session.scalars(query.order_by(StartRow.at)))


async def newest_start(session: AsyncSession, service: str) -> datetime | None:
    """Return when a service started last."""
    query = select(StartRow.at).where(StartRow.service == service)
    return await session.scalar(query.order_by(StartRow.at.desc()).limit(1))


async def put_letter(
    session: AsyncSession, service: str, partition: int, offset: int, at: datetime
) -> None:
    """Note a dead letter, once."""
    if await session.get(LetterRow, (service, partition, offset)) is None:
        session.add(LetterRow(service=service, partition=partition, offset=offset, at=at))
        await session.flush()


async def close_letter(session: AsyncSession, service: str, partition: int, offset: int) -> None:
    """Note that somebody dealt with a dead letter."""
    place = LetterRow.service == service, LetterRow.partition == partition
    await session.execute(delete(LetterRow).where(*place, LetterRow.offset == offset))


async def letters(session: AsyncSession, service: str) -> int:
    """Return how many dead letters of a service wait for somebody."""
    query = select(func.count()).select_from(LetterRow).where(LetterRow.service == service)
    return await session.scalar(query) or 0


async def forget_starts(session: AsyncSession, before: datetime) -> None:
    """Forget old starts."""
    await session.execute(delete(StartRow).where(StartRow.at < before))


async def forget_letters(session: AsyncSession, before: datetime) -> None:
    """Forget dead letters that their topic does not hold any more."""
    await session.execute(delete(LetterRow).where(LetterRow.at < before))

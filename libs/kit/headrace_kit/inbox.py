"""The inbox: which events have taken effect here, for as long as one of them may come again."""

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncSession

from headrace_events import Event
from headrace_events.topics import CATALOGUE
from headrace_kit.database import Database, InboxRow

_AT_ONCE = 1000


def shortest_memory() -> timedelta:
    """Return how long an id must be kept: a topic's retention, then a dead-letter topic's.

    An event may lie in its topic for all of its retention, be dead-lettered by one service at the
    end of it, and be replayed at the end of the dead-letter topic's: to all services that had it.
    """
    kept = [t.retention_ms for t in CATALOGUE if t.cleanup == "delete"]
    return timedelta(milliseconds=2 * max(kept))


async def is_known(session: AsyncSession, event: Event[Any]) -> bool:
    """Say whether an event has taken effect."""
    return await session.get(InboxRow, (event.source, event.id)) is not None


async def take(session: AsyncSession, event: Event[Any]) -> None:
    """Note an event, in the transaction of its effect; a second replica with it stops here."""
    session.add(InboxRow(source=event.source, event_id=event.id, handled_at=datetime.now(UTC)))
    await session.flush()


async def forget_old_ids(database: Database, keep: timedelta) -> int:
    """Delete the ids that can come no more, a few at a time: handlers write in between."""
    before, deleted = datetime.now(UTC) - keep, 0
    while True:
        async with database.transaction() as session:
            old = (
                await session.execute(
                    select(InboxRow.source, InboxRow.event_id)
                    .where(InboxRow.handled_at < before)
                    .limit(_AT_ONCE)
                )
            ).all()
            for source, event_id in old:
                await session.execute(
                    delete(InboxRow).where(InboxRow.source == source, InboxRow.event_id == event_id)
                )
        deleted += len(old)
        if len(old) < _AT_ONCE:
            return deleted

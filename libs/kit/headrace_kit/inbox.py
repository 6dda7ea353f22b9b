"""Housekeeping of the inbox."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import delete

from headrace_kit.database import Database, InboxRow

# Longer than any topic keeps its records, so that a replay of a topic finds its ids.
_KEEP = timedelta(days=35)


async def forget_old_ids(database: Database) -> None:
    """Delete the ids whose events have left their topics."""
    async with database.transaction() as session:
        await session.execute(
            delete(InboxRow).where(InboxRow.handled_at < datetime.now(UTC) - _KEEP)
        )

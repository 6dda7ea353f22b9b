"""The outbox relay: publishes committed events in order and then forgets them."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import structlog
from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from headrace_kit.database import Database, LeaseRow, OutboxRow
from headrace_kit.metrics import EVENTS_PUBLISHED, OUTBOX_ROWS

_LOG = structlog.get_logger(__name__)
_BATCH = 200
# A commit wakes the relay at once; the poll finds what another replica, or a killed one, left.
_POLL_SECONDS = 1.0
_LEASE = timedelta(seconds=10)

Send = Callable[[str, bytes, bytes, dict[str, str]], Awaitable[asyncio.Future[object]]]
"""topic, key, body, headers -> a future that is done when the broker has acknowledged."""


class Relay:
    """One replica at a time publishes, under a lease, so that events keep their order per key."""

    def __init__(self, database: Database, send: Send, owner: str) -> None:
        self._database = database
        self._send = send
        self._owner = owner
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """Say that there is something to publish."""
        self._wake.set()

    async def run(self) -> None:
        """Publish for ever; a broken broker or database delays, it never loses."""
        while True:
            try:
                while await self.publish_batch():
                    pass
            except asyncio.CancelledError:
                raise
            except Exception as error:  # noqa: BLE001 - whatever it was, the rows are still there
                _LOG.warning("outbox relay waits", error=type(error).__name__)
                await asyncio.sleep(_POLL_SECONDS)
            with contextlib.suppress(TimeoutError):  # the poll interval is over
                await asyncio.wait_for(self._wake.wait(), _POLL_SECONDS)
            self._wake.clear()

    async def publish_batch(self) -> int:
        """Publish the oldest rows and delete them; return how many there were.

        A kill between the broker's acknowledgement and the delete publishes a row again:
        its event id is the same, so the inbox of each consumer drops the repeat.
        """
        async with self._database.transaction() as session:
            if not await self._hold_lease(session):
                return 0
            rows = (
                await session.scalars(select(OutboxRow).order_by(OutboxRow.seq).limit(_BATCH))
            ).all()
            OUTBOX_ROWS.set(
                await session.scalar(select(func.count()).select_from(OutboxRow)) or 0
                if len(rows) == _BATCH
                else len(rows)
            )
        if not rows:
            return 0
        acknowledged = [
            await self._send(row.topic, row.key.encode(), row.body, row.headers) for row in rows
        ]
        await asyncio.gather(*acknowledged)
        async with self._database.transaction() as session:
            await session.execute(delete(OutboxRow).where(OutboxRow.seq.in_([r.seq for r in rows])))
        for row in rows:
            EVENTS_PUBLISHED.labels(row.type).inc()
        OUTBOX_ROWS.dec(len(rows))
        return len(rows)

    async def _hold_lease(self, session: AsyncSession) -> bool:
        now = datetime.now(UTC)
        row = await session.get(LeaseRow, "relay", with_for_update=True)
        if row is None:
            session.add(LeaseRow(name="relay", owner=self._owner, until=now + _LEASE))
            return True
        if row.owner != self._owner and row.until > now:
            return False
        if row.owner != self._owner or row.until - now < _LEASE / 2:
            # Not at every poll: each change is an fsync.
            row.owner, row.until = self._owner, now + _LEASE
        return True

"""The outbox relay: publishes committed events in order and then forgets them.

Order per key does not hang on the lease. A relay sends a key's rows by `seq` and only rows whose
predecessors are acknowledged and gone, or sent by itself before. Two relays at once, or one that
was killed before its delete, repeat events under the same ids; none overtakes another.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta

import structlog
from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from headrace_kit.database import Database, LeaseRow, OutboxRow
from headrace_kit.metrics import EVENTS_PUBLISHED, OUTBOX_OLDEST, OUTBOX_ROWS

_LOG = structlog.get_logger(__name__)
_BATCH = 200
# A commit wakes the relay at once; the poll finds what another replica, or a killed one, left.
_POLL_SECONDS = 1.0
_LEASE = timedelta(seconds=10)

Send = Callable[[str, bytes, bytes, dict[str, str]], Awaitable[asyncio.Future[object]]]
"""topic, key, body, headers -> a future that is done when the broker has acknowledged."""


class Relay:
    """One replica at a time publishes, under a lease, so that events are not sent twice for fun."""

    def __init__(self, database: Database, send: Send, owner: str) -> None:
        self._database = database
        self._send = send
        self._owner = owner
        self._wake = asyncio.Event()
        self.waiting = 0
        """Rows in the outbox at the last look."""
        self.oldest: datetime | None = None
        """When the oldest of them was emitted."""

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
                # Not wait_for: before Python 3.12 it loses a cancellation that comes with the wake.
                async with asyncio.timeout(_POLL_SECONDS):
                    await self._wake.wait()
            self._wake.clear()

    async def publish_batch(self) -> int:
        """Publish the oldest rows, delete what the broker acknowledged, and return how many.

        Raises the first error of the broker, after the acknowledged rows are deleted. A failed row
        holds back the rows of its topic and key that follow it, and no other.
        """
        async with self._database.transaction() as session:
            if not await self._hold_lease(session):
                return 0
            rows = (
                await session.scalars(select(OutboxRow).order_by(OutboxRow.seq).limit(_BATCH))
            ).all()
        if not rows:
            return 0
        done, broken = await self._publish(rows)
        await self._forget(done)
        for error in broken.values():
            raise error
        return len(done)

    async def _publish(
        self, rows: Sequence[OutboxRow]
    ) -> tuple[list[OutboxRow], dict[tuple[str, str], BaseException]]:
        """Send rows; return those that are settled and, by topic and key, what went wrong."""
        sent: list[tuple[OutboxRow, asyncio.Future[object]]] = []
        broken: dict[tuple[str, str], BaseException] = {}
        for row in rows:
            if (row.topic, row.key) in broken:
                continue
            try:
                future = await self._send(row.topic, row.key.encode(), row.body, row.headers)
            except Exception as error:  # noqa: BLE001 - raised below, after the rest is settled
                broken[row.topic, row.key] = error
            else:
                sent.append((row, future))
        results = await asyncio.gather(*(future for _, future in sent), return_exceptions=True)
        done: list[OutboxRow] = []
        for (row, _), result in zip(sent, results, strict=True):
            if isinstance(result, BaseException):
                broken.setdefault((row.topic, row.key), result)
            elif (row.topic, row.key) not in broken:
                done.append(row)
        return done, broken

    async def look(self) -> None:
        """Count what waits, beside the publishing: that one may hang on a broker that is away."""
        async with self._database.reading() as session:
            waiting, oldest = (
                await session.execute(select(func.count(), func.min(OutboxRow.created_at)))
            ).one()
        self.waiting, self.oldest = waiting, oldest
        OUTBOX_ROWS.set(waiting)
        OUTBOX_OLDEST.set(self.lag_seconds())

    def lag_seconds(self) -> float:
        """Return the age of the oldest event that waits, 0 when none does."""
        if self.oldest is None:
            return 0.0
        return max(0.0, (datetime.now(UTC) - self.oldest).total_seconds())

    async def release(self) -> None:
        """Give the lease back at a graceful stop: another replica goes on at once."""
        async with self._database.transaction() as session:
            await session.execute(
                delete(LeaseRow).where(LeaseRow.name == "relay", LeaseRow.owner == self._owner)
            )

    async def _forget(self, done: list[OutboxRow]) -> None:
        if not done:
            return
        async with self._database.transaction() as session:
            await session.execute(delete(OutboxRow).where(OutboxRow.seq.in_([r.seq for r in done])))
        for row in done:
            EVENTS_PUBLISHED.labels(row.type).inc()

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

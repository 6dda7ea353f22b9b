"""Who is at which job: claims under a lease, kept by heartbeats, fenced by owner and attempt."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from sqlalchemy import ColumnElement, and_, or_, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from headrace_kit.database import Database, JobRow
from headrace_kit.leases import is_gone

OPEN = ("queued", "running")
# As many as may be at work at once, for a look whether one of their workers is gone.
_MOST_LOOKED_AT = 50


class JobClaims:
    """The jobs of one kind as one process holds them.

    `owner` is of one start of a process (`leases.new_owner`), never of a name: what a process
    holds nobody else takes before the lease is out or the process is seen to be gone.
    """

    def __init__(self, kind: str, database: Database, owner: str, lease: timedelta) -> None:
        self._kind = kind
        self._database = database
        self._owner = owner
        self._lease = lease
        self._turn = asyncio.Lock()
        self.running: set[str] = set()
        """Keys that this process is at work on."""

    async def claim(self) -> JobRow | None:
        """Take the oldest job that is free; None when there is none."""
        # One claim at a time: what the loop beside this one takes must be seen in `running`.
        async with self._turn:
            return await self._claim()

    async def _claim(self) -> JobRow | None:
        async with self._database.reading() as session:  # a poll in vain takes no write lock
            if await self._free(session) is None:
                return None
        key: str | None = None
        try:
            async with self._database.transaction() as session:
                row = await self._free(session, lock=True)
                if row is None:
                    return None
                row.state, row.owner = "running", self._owner
                row.lease_until = datetime.now(UTC) + self._lease
                if not row.gives_up:
                    row.attempt += 1
                key = row.key
                self.running.add(key)
        except BaseException:
            # Not ours after all; or ours and not at work, which `_free` knows.
            if key is not None:
                self.running.discard(key)
            raise
        return row

    async def _free(self, session: AsyncSession, *, lock: bool = False) -> JobRow | None:
        now = datetime.now(UTC)
        due = or_(
            JobRow.not_before.is_(None),
            JobRow.not_before <= now,
            and_(JobRow.cancel_requested, JobRow.gives_up.is_(None)),
        )
        unheld = or_(
            JobRow.state == "queued",
            JobRow.lease_until.is_(None),
            JobRow.lease_until <= now,
            # Ours and not at work here: its claim's commit or its end was lost on the way.
            JobRow.owner == self._owner,
        )
        found = await self._oldest(session, due, unheld, lock=lock, limit=1)
        if found:
            return found[0]
        held = await self._oldest(
            session,
            JobRow.state == "running",
            JobRow.lease_until > now,
            lock=lock,
            limit=_MOST_LOOKED_AT,
        )
        return next((row for row in held if is_gone(row.owner)), None)

    async def _oldest(
        self, session: AsyncSession, *conditions: ColumnElement[bool], lock: bool, limit: int
    ) -> Sequence[JobRow]:
        query = (
            select(JobRow)
            .where(JobRow.kind == self._kind, JobRow.state.in_(OPEN), *conditions)
            .where(JobRow.key.not_in(self.running))
            .order_by(JobRow.created_at)
            .limit(limit)
        )
        if lock:
            query = query.with_for_update(skip_locked=True)
        return (await session.scalars(query)).all()

    async def renew(self, key: str, attempt: int) -> bool | None:
        """Lengthen the lease; return whether the job is to be cancelled, None if it is not ours."""
        async with self._database.transaction() as session:
            found = await session.execute(
                update(JobRow)
                .where(JobRow.kind == self._kind, JobRow.key == key, JobRow.state == "running")
                .where(JobRow.owner == self._owner, JobRow.attempt == attempt)
                .values(lease_until=datetime.now(UTC) + self._lease)
                .returning(JobRow.cancel_requested)
            )
            row = found.first()
            return None if row is None else bool(row[0])

    async def held(self, session: AsyncSession, key: str, attempt: int) -> JobRow | None:
        """Return the job's row, locked, if this process still holds this attempt."""
        row = await session.get(JobRow, (self._kind, key), with_for_update=True)
        if row is None or row.owner != self._owner or row.attempt != attempt:
            return None
        return row

    async def put_back(
        self, key: str, attempt: int, *, reason: str | None = None, wait: float | None = None
    ) -> None:
        """Give a job back: to be tried again after `wait` seconds, or as if never begun (None)."""
        async with self._database.transaction() as session:
            row = await self.held(session, key, attempt)
            if row is None:
                return
            row.state, row.owner, row.lease_until = "queued", None, None
            if wait is None:
                row.attempt -= 1
                return
            row.reason = reason
            row.not_before = datetime.now(UTC) + timedelta(seconds=wait)

"""Periodic work: called again and again, by every replica or by one of them at a time."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta

import structlog

from headrace_kit.database import Database
from headrace_kit.leases import Lease
from headrace_kit.metrics import BACKGROUND_FAILURES

_LOG = structlog.get_logger(__name__)
# Long enough that a slow database costs no lease, short enough that a dead replica's is soon free.
_LEASE = timedelta(seconds=15)
# Failures in a row, over so many seconds: what fails less is tried again, and that is all.
_MOST_IN_A_ROW = 3
_FAILING_SECONDS = 30.0

Tick = Callable[[], Awaitable[object]]


class Periodic:
    """One piece of periodic work, by name; with an `owner`, one process at a time does it."""

    def __init__(
        self,
        name: str,
        seconds: float,
        tick: Tick,
        *,
        database: Database,
        reachable: Callable[[], Awaitable[bool]],
        owner: str | None = None,
    ) -> None:
        self.name = name
        self._seconds = seconds
        self.tick = tick
        self._database = database
        self._reachable = reachable
        self._lease = Lease(f"every/{name}", owner, _LEASE) if owner else None
        self._failures = 0
        self._failing_since = 0.0
        self._error = ""

    def failing(self) -> str:
        """Return the class of what it fails of again and again, "" while it does not."""
        long = time.monotonic() - self._failing_since >= _FAILING_SECONDS
        return self._error if self._failures >= _MOST_IN_A_ROW and long else ""

    async def run(self) -> None:
        """Call for ever; an error is told and the next call comes all the same."""
        while True:
            await asyncio.sleep(self._seconds)
            try:
                await self._once_or_always()
            except Exception as error:  # noqa: BLE001 - the next call comes all the same
                await self._note(error)
            else:
                self._failures = 0

    async def release(self) -> None:
        """Give the lease back at a graceful stop: another replica goes on at once."""
        if self._lease:
            async with self._database.transaction() as session:
                await self._lease.release(session)

    async def _once_or_always(self) -> None:
        if self._lease is None:
            await self.tick()
            return
        if not await self._hold():
            return
        work = asyncio.ensure_future(self.tick())
        try:
            while not (await asyncio.wait([work], timeout=_LEASE.total_seconds() / 3))[0]:
                # A call may take longer than its lease; one that lost it stops.
                if not await self._hold():
                    _LOG.warning("periodic work stops: another replica does it", work=self.name)
                    return
            await work
        finally:
            if not work.done():
                work.cancel()
                await asyncio.gather(work, return_exceptions=True)

    async def _hold(self) -> bool:
        assert self._lease  # noqa: S101 - asked only where there is one
        async with self._database.reading() as session:
            if await self._lease.is_safe(session):  # a write at every call is an fsync
                return True
        async with self._database.transaction() as session:
            return await self._lease.hold(session)

    async def _note(self, error: Exception) -> None:
        BACKGROUND_FAILURES.labels(self.name).inc()
        _LOG.warning("periodic work failed", work=self.name, exc_info=error)
        # Without a database all of it fails, and no work of this replica's is to blame.
        if not await self._reachable():
            return
        if self._failures == 0:
            self._failing_since = time.monotonic()
        self._failures += 1
        self._error = type(error).__name__

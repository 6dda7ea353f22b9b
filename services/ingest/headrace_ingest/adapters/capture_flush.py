"""Moves captured traffic and feedback from the database into the traffic tables, once each."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

from headrace_events import new_id
from headrace_ingest.adapters import capture_store, feedback_store, traffic_table
from headrace_ingest.adapters.traffic_table import Judgement
from headrace_ingest.core.traffic import JudgedInteraction
from headrace_ingest.metrics import CAPTURES_ASIDE
from headrace_ingest.settings import Capture
from headrace_kit import Service

_JUDGE_AT_ONCE = 500


class CaptureFlush:
    """One at a time in a process; several processes are kept apart by Delta's transactions."""

    def __init__(self, service: Service, settings: Capture) -> None:
        self._settings = settings
        self._root = service.settings.storage.root
        self._turn = asyncio.Lock()
        self._workloads = service.workloads
        self.unit_of_work = service.unit_of_work
        self.reading = service.reading

    async def tick(self) -> None:
        """Flush what is due, and finish what a killed process began."""
        async with self._turn:
            await self._finish_open()
            async with self.reading() as session:
                due = await capture_store.due_workloads(
                    session, self._settings.flush_rows, self._settings.flush_seconds
                )
            for workload in due:
                if self._is_applied(workload):
                    await self._flush(workload)
            async with self.reading() as session:
                judging = await feedback_store.is_judging_due(
                    session, self._settings.judge_rows, self._settings.judge_seconds
                )
            if judging:
                await self._judge()

    async def clean(self) -> None:
        """Forget the ids of old requests, and feedback on requests that nobody knows."""
        before = datetime.now(UTC) - timedelta(days=self._settings.keep_days)
        async with self.unit_of_work() as uow:
            await capture_store.forget(uow.session, before)
        forgotten = 1
        while forgotten:
            async with self.unit_of_work() as uow:
                forgotten = await feedback_store.forget(uow.session, before)
        await self._put_aside()

    def _is_applied(self, workload: str) -> bool:
        return self._workloads.get(workload) is not None

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """Keep this process from writing to the traffic tables meanwhile."""
        async with self._turn:
            yield

    async def _put_aside(self) -> None:
        """Drop what waited long enough for a manifest: no table for a name that anybody invents."""
        before = datetime.now(UTC) - timedelta(hours=self._settings.unknown_hours)
        async with self.reading() as session:
            waiting = await capture_store.waiting_workloads(session, before)
        for workload in waiting:
            if not self._is_applied(workload):
                async with self.unit_of_work() as uow:
                    dropped = await capture_store.drop(uow.session, workload, before)
                CAPTURES_ASIDE.labels("never_applied").inc(dropped)

    async def judged(self, workload: str, request_ids: list[str]) -> list[JudgedInteraction]:
        """Return these requests with their feedback; all of it is in the traffic table then."""
        async with self._turn:
            await self._finish_open()
            await self._flush(workload)
            await self._judge()
        async with self.reading() as session:
            times = await capture_store.requested_at(session, request_ids)
        return await asyncio.to_thread(traffic_table.read_judged, self._root, workload, times)

    async def _finish_open(self) -> None:
        async with self.reading() as session:
            found = await capture_store.open_flushes(session)
        for flush_id, workload in found:
            await self._write(flush_id, workload)

    async def _flush(self, workload: str) -> None:
        while True:
            flush_id = new_id()
            async with self.unit_of_work() as uow:
                taken = await capture_store.take(
                    uow.session, workload, flush_id, self._settings.flush_rows
                )
            if taken:
                await self._write(flush_id, workload)
            if taken < self._settings.flush_rows:
                return

    async def _write(self, flush_id: str, workload: str) -> None:
        async with self.reading() as session:
            captured = await capture_store.flushing(session, flush_id)
        if captured:
            await asyncio.to_thread(traffic_table.append, self._root, workload, flush_id, captured)
        # A kill right here is harmless: the next process finds the commit by the flush's id.
        async with self.unit_of_work() as uow:
            await capture_store.close(uow.session, flush_id)

    async def _judge(self) -> None:
        while True:
            async with self.reading() as session:
                found = await feedback_store.unjudged(session, _JUDGE_AT_ONCE)
            for workload, feedback in found.items():
                judgements = [
                    Judgement(f.request_id, f.rating, f.correction, f.requested_at)
                    for f in feedback
                ]
                await asyncio.to_thread(traffic_table.judge, self._root, workload, judgements)
                async with self.unit_of_work() as uow:
                    await feedback_store.mark_judged(uow.session, feedback)
            if sum(len(f) for f in found.values()) < _JUDGE_AT_ONCE:
                return

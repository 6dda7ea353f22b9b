"""Ingest's state made again from the log: what its own events mean.

The rows of the raw and traffic tables are not made again: they are in Delta Lake, and the log
refers to them. Uploaded bytes neither.
"""

import asyncio

from headrace_events.data import FileDeleted, FileUploaded, RecordsLanded
from headrace_events.jobs import JobFinished, JobQueued
from headrace_ingest.adapters import capture_store, feedback_store, ledger, traffic_table
from headrace_ingest.adapters.tables import FileRow
from headrace_ingest.api_files import file_row
from headrace_ingest.jobs import KIND
from headrace_kit import Event, Service, UnitOfWork


class Replay:
    """Handlers for a replay."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._root = service.settings.storage.root

    def register(self) -> None:
        """Tell the service."""
        self._service.replays(JobQueued, self.job_queued)
        self._service.replays(JobFinished, self.job_finished)
        self._service.replays(RecordsLanded, self.landed)
        self._service.replays(FileUploaded, self.uploaded)
        self._service.replays(FileDeleted, self.deleted)
        self._service.on_replayed(self.meet_the_tables)

    async def job_queued(self, event: Event[JobQueued], uow: UnitOfWork) -> None:
        """Expect a source, or note which feedback a batch took up."""
        payload = event.data.payload
        if event.data.kind != KIND:
            return
        if payload["type"] == "source":
            await ledger.expect(uow, event.workload, payload)
        elif payload["type"] == "traffic":
            await feedback_store.put_into(uow.session, payload["batch_id"], payload["requests"])

    async def job_finished(self, event: Event[JobFinished], uow: UnitOfWork) -> None:
        """Note what became of a source or a file."""
        ended, payload = event.data, event.data.payload
        if ended.kind != KIND:
            return
        done = ended.state == "done"
        if payload["type"] == "source":
            found = ended.result if done else {"state": "rejected"}
            reason = None if done else ended.reason
            await ledger.close_source(
                uow, event.workload, payload["source_id"], reason=reason, **found
            )
        elif payload["type"] == "file":
            state, reason = ("processed", None) if done else ("error", ended.reason)
            await ledger.close_file(uow, payload["file_id"], state, reason)

    async def landed(self, event: Event[RecordsLanded], uow: UnitOfWork) -> None:
        """Note a batch."""
        ledger.add_batch(uow, event.workload, event.data, event.time)

    async def uploaded(self, event: Event[FileUploaded], uow: UnitOfWork) -> None:
        """Note a file."""
        uow.session.add(file_row(event.data, event.time))

    async def deleted(self, event: Event[FileDeleted], uow: UnitOfWork) -> None:
        """Forget a file."""
        row = await uow.session.get(FileRow, event.data.file_id)
        if row:
            await uow.session.delete(row)

    async def meet_the_tables(self) -> None:
        """Let go of the text of what the traffic tables have: it must not go there again."""
        async with self._service.reading() as session:
            staged = await capture_store.staged(session)
        for workload, times in staged.items():
            found = await asyncio.to_thread(traffic_table.read_judged, self._root, workload, times)
            async with self._service.unit_of_work() as uow:
                await capture_store.set_flushed(uow.session, [one.request_id for one in found])
                await feedback_store.set_judged(
                    uow.session, {one.request_id: (one.rating, one.correction) for one in found}
                )

"""Leased jobs: read a source, a file or judged traffic, land it, say so."""

import asyncio

from headrace_events.workload import Source
from headrace_ingest.adapters import file_store, ledger
from headrace_ingest.adapters.capture_flush import CaptureFlush
from headrace_ingest.adapters.feedback_store import members
from headrace_ingest.adapters.files import Columns, read_rows
from headrace_ingest.core.errors import UnreadableSource
from headrace_ingest.core.landing import Landed, Landing
from headrace_ingest.core.records import digest
from headrace_ingest.core.traffic import traffic_records
from headrace_kit import Job, JobContext, JobRejected, UnitOfWork

KIND = "landing"
TRAFFIC = "traffic"


class LandingJobs:
    """One kind of job; its payload's `type` says where the rows come from."""

    def __init__(self, landing: Landing, flush: CaptureFlush, root: str) -> None:
        self._landing = landing
        self._flush = flush
        self._root = root

    async def work(self, ctx: JobContext) -> None:
        """Do one job; what cannot be read is a permanent failure."""
        try:
            match ctx.job.payload["type"]:
                case "source":
                    await self._source(ctx)
                case "file":
                    await self._file(ctx)
                case "traffic":
                    await self._traffic(ctx)
        except UnreadableSource as error:
            # `from None`: what is behind it may quote the source.
            raise JobRejected(error.reason) from None

    async def failed(self, job: Job, reason: str, uow: UnitOfWork) -> None:
        """Say that nothing of the source was landed, and why."""
        payload = job.payload
        if payload["type"] == "source":
            await ledger.close_source(uow, job.workload, payload["source_id"], "rejected", reason)
        elif payload["type"] == "file":
            await ledger.close_file(uow, payload["file_id"], "error", reason)
        ledger.reject(uow, job.workload, payload["name"], reason)

    async def _source(self, ctx: JobContext) -> None:
        payload, workload = ctx.job.payload, ctx.job.workload
        landed = await self._landing.land_source(
            workload,
            Source.model_validate(payload["source"]),
            source_id=payload["source_id"],
            name=payload["name"],
        )
        async with ctx.finish() as uow:
            new = await ledger.announce(uow, workload, landed)
            ctx.result = {
                "state": "landed" if new else "unchanged",
                "rows": landed.rows,
                "batch_id": landed.batch_id,
            }
            await ledger.close_source(
                uow, workload, payload["source_id"], reason=None, **ctx.result
            )

    async def _file(self, ctx: JobContext) -> None:
        payload = ctx.job.payload
        landed = await self._land_file(ctx)
        async with ctx.finish() as uow:
            await ledger.announce(uow, ctx.job.workload, landed)
            await ledger.close_file(uow, payload["file_id"], "processed")

    async def _land_file(self, ctx: JobContext) -> Landed:
        payload = ctx.job.payload
        content = await asyncio.to_thread(file_store.load, self._root, payload["file_id"])
        if content is None:
            raise UnreadableSource("the file was deleted before it was landed; upload it again")
        columns = Columns(payload["prompt"], payload["completion"])
        rows = await asyncio.to_thread(read_rows, payload["filename"], content, columns)
        return await self._landing.land_rows(
            ctx.job.workload,
            rows,
            # By content and name: the same file uploaded twice is landed once.
            source_id=digest("upload", payload["filename"]),
            name=payload["name"],
        )

    async def _traffic(self, ctx: JobContext) -> None:
        workload, batch_id = ctx.job.workload, str(ctx.job.payload["batch_id"])
        async with self._flush.reading() as session:
            requests = await members(session, batch_id)
        judged = await self._flush.judged(workload, requests)
        records = traffic_records(judged, batch_id)
        landed = await self._landing.land_records(workload, records) if records else None
        async with ctx.finish() as uow:
            if landed:
                await ledger.announce(uow, workload, landed)

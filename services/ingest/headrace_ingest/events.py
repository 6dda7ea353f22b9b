"""Kafka handlers: manifests to landing jobs, outcomes and feedback to the capture."""

from collections.abc import Callable, Sequence
from typing import Any

from headrace_events import Event
from headrace_events.inference import FeedbackGiven
from headrace_events.workload import WorkloadApplied
from headrace_ingest.adapters import capture_store, feedback_store, ledger
from headrace_ingest.adapters.files import fingerprint
from headrace_ingest.core.sources import plan_reads
from headrace_ingest.core.traffic import interaction, is_capturable
from headrace_ingest.jobs import KIND, TRAFFIC
from headrace_ingest.metrics import CAPTURES_ASIDE
from headrace_kit import Service, UnitOfWork


class Handlers:
    """What ingest does on events."""

    def __init__(self, service: Service, fingerprint: Callable[[str], str] = fingerprint) -> None:
        self._service = service
        self._fingerprint = fingerprint

    async def workload_applied(self, event: Event[WorkloadApplied], uow: UnitOfWork) -> None:
        """Enqueue a job for each source of the manifest; an older one's are not read any more."""
        if not await self._service.workloads.is_newest(event, uow):
            return
        manifest = event.data.manifest
        workload = manifest.metadata.name
        for read in plan_reads(manifest, self._fingerprint):
            payload = {
                "type": "source",
                "source": read.source.model_dump(mode="json"),
                "source_id": read.source_id,
                "name": read.name,
                "revision": event.data.revision,
                "applied_at": uow.at.isoformat(),
            }
            if await uow.enqueue(KIND, read.key, payload, workload=workload):
                await ledger.expect(uow, workload, payload)
        # Feedback may have waited for this manifest.
        await self.take_up(workload, uow)

    async def outcomes(self, events: list[Event[Any]]) -> Sequence[Event[Any]] | None:
        """Stage what was captured; the offsets are committed after the database has it."""
        kept = [event for event in events if not self._put_aside(event)]
        if not kept:
            return None
        captured = [(e.workload, interaction(e.data, e.time)) for e in kept]
        ids = [c.request_id for _, c in captured]
        async with self._service.unit_of_work(cause=events[-1]) as uow:
            await capture_store.stage(uow.session, captured)
            await uow.session.flush()
            for workload in await feedback_store.workloads_of_feedback(uow.session, ids):
                await self.take_up(workload, uow)
        return None

    def _put_aside(self, event: Event[Any]) -> bool:
        """Say whether an outcome is kept nowhere, and count it."""
        if not is_capturable(event.workload, event.data.request_id):
            CAPTURES_ASIDE.labels("unfit_name").inc()
            return True
        # Whoever answered knew no such workload; if it is known here, its manifest was only late.
        unknown = getattr(event.data, "reason", None) == "unknown_workload"
        if unknown and self._service.workloads.get(event.workload) is None:
            CAPTURES_ASIDE.labels("unknown_workload").inc()
            return True
        return False

    async def feedback_given(self, event: Event[FeedbackGiven], uow: UnitOfWork) -> None:
        """Keep the feedback; when enough of it waits, land it."""
        await feedback_store.put(uow.session, event.data, event.workload, event.time)
        await uow.session.flush()
        workload = await capture_store.workload_of(uow.session, event.data.request_id)
        if workload:
            await self.take_up(workload, uow)

    async def take_up(self, workload: str, uow: UnitOfWork) -> None:
        """Enqueue the landing of judged traffic, if there is enough and the manifest wants it."""
        if uow.replaying:
            return  # what was taken up then is in the log
        manifest = self._service.workloads.get(workload)
        if manifest is None or "feedback" not in manifest.spec.monitor.retrain_on:
            return
        batch = manifest.spec.data.feedback_batch
        for batch_id, requests in await feedback_store.take_up(uow.session, workload, batch):
            payload = {
                "type": "traffic",
                "batch_id": batch_id,
                "name": TRAFFIC,
                "requests": requests,
            }
            await uow.enqueue(KIND, f"traffic/{batch_id}", payload, workload=workload)

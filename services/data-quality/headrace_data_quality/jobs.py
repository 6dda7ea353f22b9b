"""Leased jobs: curate what waits, announce the version or why there is none."""

import asyncio
from datetime import UTC, datetime

from headrace_data_quality.adapters import plans, refusals
from headrace_data_quality.adapters.curating import Curator, Made, NotMade
from headrace_data_quality.adapters.tables import VersionRow
from headrace_data_quality.core.versions import Plan, Trigger
from headrace_events.data import DatasetCurated, DatasetRejected
from headrace_events.workload import Data
from headrace_kit import Event, Job, JobContext, Service, UnitOfWork
from headrace_kit.job_log import job_of

KIND = "curation"


class CurationJobs:
    """One job curates all batches of its workload that wait when it starts."""

    def __init__(self, service: Service, curator: Curator, settle_seconds: float) -> None:
        self._service = service
        self._curator = curator
        self._settle_seconds = settle_seconds

    async def work(self, ctx: JobContext) -> None:
        """Finish what a killed worker left, then curate; a job that finds nothing is done."""
        workload = ctx.job.workload
        trigger: Trigger = ctx.job.payload["trigger"]
        policy = self._policy(workload)
        await self._settle(workload)
        adopted = False
        while plan := await self._open(workload):
            await self._adopt(ctx, plan, policy)
            adopted = True
        async with self._service.unit_of_work() as uow:
            made = await plans.make(uow.session, workload, trigger, ctx.job.created_at)
        result = await self._carry_out(made, policy) if made else None
        async with ctx.finish() as uow:
            if made and result:
                await _conclude(uow, made, result)
            elif trigger == "drift" and not adopted:
                await self._nothing_landed(uow, workload)

    async def failed(self, job: Job, reason: str, uow: UnitOfWork) -> None:
        """Give the plan up; its batches wait for the next curation."""
        plan = await plans.find_open(uow.session, job.workload)
        if plan:
            await plans.close(uow.session, plan, plans.REJECTED)
        batches = plan.batches if plan else ()
        rejected = DatasetRejected(batches=batches, reason=f"the curation failed: {reason}")
        event = uow.emit(rejected)
        if plan:
            await refusals.note(uow.session, plan, rejected, event.time)

    def _policy(self, workload: str) -> Data:
        manifest = self._service.workloads.get(workload)
        if manifest is None:
            # The manifest is on another topic and may be a moment late: the job is tried again.
            raise LookupError(f"no manifest of {workload} yet")
        return manifest.spec.data

    async def _settle(self, workload: str) -> None:
        while True:
            async with self._service.reading() as session:
                newest = await plans.newest_arrival(session, workload)
            if newest is None:
                return
            age = (datetime.now(UTC) - newest).total_seconds()
            if age >= self._settle_seconds:
                return
            await asyncio.sleep(self._settle_seconds - age)

    async def _open(self, workload: str) -> Plan | None:
        async with self._service.reading() as session:
            return await plans.find_open(session, workload)

    async def _carry_out(self, plan: Plan, policy: Data) -> Made | NotMade:
        return await asyncio.to_thread(self._curator.carry_out, plan, policy)

    async def _adopt(self, ctx: JobContext, plan: Plan, policy: Data) -> None:
        """Carry out a plan that a killed worker left open, this job's own earlier attempt or not.

        If its worker is alive after all, both come to the same result and one of them closes it.
        """
        result = await self._carry_out(plan, policy)
        async with self._service.unit_of_work(
            cause=ctx.job.causing_event(), workload=plan.workload
        ) as uow:
            await _conclude(uow, plan, result)

    async def _nothing_landed(self, uow: UnitOfWork, workload: str) -> None:
        newest = await plans.newest_version(uow.session, workload)
        since = f"since version {newest.version} was made" if newest else "yet"
        reason = f"the input drifted, but no records have landed {since}"
        uow.emit(DatasetRejected(batches=(), reason=reason))


async def _conclude(uow: UnitOfWork, plan: Plan, result: Made | NotMade) -> None:
    if isinstance(result, Made):
        await _announce(uow, plan, result)
    else:
        await _reject(uow, plan, result)


async def _announce(uow: UnitOfWork, plan: Plan, made: Made) -> None:
    if not await plans.close(uow.session, plan, plans.DONE):
        return
    curated = DatasetCurated(
        dataset=made.dataset,
        batches=plan.batches,
        sources=plan.sources,
        rejects=made.rejects,
        rejects_id=made.rejects_id,
        redactions=made.redactions,
        trigger="drift" if plan.trigger == "drift" else "records",
        profile=made.profile,
    )
    event = uow.emit(
        curated,
        subject=f"{plan.workload}/{plan.version}",
        discriminator=plan.plan_id,
    )
    await _settle_version(uow, plan, curated, event.time)


async def _settle_version(
    uow: UnitOfWork, plan: Plan, curated: DatasetCurated, at: datetime
) -> None:
    await plans.settle_batches(uow.session, plan, plans.CURATED, plan.version)
    await refusals.forget(uow.session, plan)
    dataset = curated.dataset
    uow.session.add(
        VersionRow(
            workload=plan.workload,
            version=plan.version,
            table_uri=dataset.table.uri,
            table_version=dataset.table.version,
            digest=dataset.digest,
            train_rows=dataset.train_rows,
            holdout_rows=dataset.holdout_rows,
            profile=curated.profile,
            rejects=curated.rejects,
            rejects_id=curated.rejects_id,
            redactions=curated.redactions,
            batches=list(curated.batches),
            sources=list(curated.sources),
            trigger=plan.trigger,
            created_at=at,
        )
    )


async def _reject(uow: UnitOfWork, plan: Plan, result: NotMade) -> None:
    if not await plans.close(uow.session, plan, plans.REJECTED):
        return
    if result.nothing_new:
        await plans.settle_batches(uow.session, plan, plans.USED_UP)
    rejected = DatasetRejected(
        batches=plan.batches,
        reason=result.reason,
        rejects=result.rejects,
        rejects_id=result.rejects_id,
        used_up=result.nothing_new,
    )
    event = uow.emit(rejected, discriminator=plan.plan_id)
    await refusals.note(uow.session, plan, rejected, event.time)


async def replay_curated(event: Event[DatasetCurated], uow: UnitOfWork) -> None:
    """Write a version down again as the log has it; its rows are in the Delta table still."""
    plan = await _restored(event, uow, event.data.dataset.version, event.data.trigger)
    await plans.close(uow.session, plan, plans.DONE)
    await _settle_version(uow, plan, event.data, event.time)


async def replay_rejected(event: Event[DatasetRejected], uow: UnitOfWork) -> None:
    """Write down again that batches made no version."""
    if not event.data.batches:
        return
    newest = await plans.newest_version(uow.session, event.workload)
    plan = await _restored(event, uow, (newest.version if newest else 0) + 1, "records")
    await plans.close(uow.session, plan, plans.REJECTED)
    await refusals.note(uow.session, plan, event.data, event.time)
    if event.data.used_up:
        await plans.settle_batches(uow.session, plan, plans.USED_UP)


async def _restored(
    event: Event[DatasetCurated] | Event[DatasetRejected],
    uow: UnitOfWork,
    version: int,
    trigger: Trigger,
) -> Plan:
    job = await job_of(uow, event, KIND)
    return await plans.restore(
        uow.session,
        event.workload,
        version,
        event.data.batches,
        job.payload["trigger"] if job else trigger,
        job.created_at if job else event.time,
    )

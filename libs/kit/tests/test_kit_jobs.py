"""Leased jobs: done once, retried, given up, taken over from the dead, cancelled."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from headrace_events import topics
from headrace_events.data import DatasetRejected, RecordsRejected
from headrace_kit import JobContext, JobLost, JobRejected
from headrace_kit import jobs as jobs_module
from headrace_kit.database import Database, JobRow, OutboxRow
from headrace_kit.jobs import Job, Jobs
from headrace_kit.unit_of_work import UnitOfWork, UnitsOfWork


@pytest.fixture
async def database(database_url: str):
    found = Database(database_url)
    await found.create()
    yield found
    await found.close()


@pytest.fixture
def units(database: Database) -> UnitsOfWork:
    return UnitsOfWork(database, "test", lambda: None)


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs_module, "_BACKOFF", (0.01,))
    monkeypatch.setattr(jobs_module, "_POLL_SECONDS", 0.02)


async def fail(job: Job, reason: str, uow: UnitOfWork) -> None:
    uow.emit(RecordsRejected(source=job.key, reason=reason))


def make(database, units, work, owner="a", **options) -> Jobs:
    return Jobs("kind", work, fail, database=database, units=units, owner=owner, **options)


async def enqueue(units: UnitsOfWork, key: str = "k") -> None:
    async with units.begin(workload="w") as uow:
        await uow.enqueue("kind", key, {"n": 1})


async def leased(database: Database, owner: str, lease: timedelta) -> None:
    """A job at its first attempt, whose worker was killed."""
    now = datetime.now(UTC)
    async with database.transaction() as session:
        session.add(
            JobRow(
                kind="kind",
                key="k",
                workload="w",
                payload={},
                cause=None,
                state="running",
                attempt=1,
                owner=owner,
                lease_until=now + lease,
                created_at=now,
            )
        )


async def wait_for(jobs: Jobs, state: str, key: str = "k") -> Job:
    for _ in range(300):
        job = await jobs.get(key)
        if job and job.state == state:
            return job
        await asyncio.sleep(0.02)
    raise AssertionError(f"job is {job and job.state}, not {state}")


async def outbox(database: Database) -> list[OutboxRow]:
    async with database.transaction() as session:
        rows = await session.scalars(select(OutboxRow).order_by(OutboxRow.seq))
        return [row for row in rows if row.topic != topics.JOBS]


class Running:
    def __init__(self, *jobs: Jobs) -> None:
        self.jobs = jobs

    async def __aenter__(self) -> None:
        self.tasks = [asyncio.create_task(j.run()) for j in self.jobs]

    async def __aexit__(self, *_: object) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)


async def test_the_outcome_and_the_mark_are_one_transaction(database, units) -> None:
    async def work(ctx: JobContext) -> None:
        async with ctx.finish() as uow:
            uow.emit(DatasetRejected(batches=(), reason="r"))

    jobs = make(database, units, work)
    await enqueue(units)
    async with Running(jobs):
        job = await wait_for(jobs, "done")
    assert job.attempt == 1
    assert [row.type for row in await outbox(database)] == [DatasetRejected.TYPE]


async def test_a_failing_job_is_retried_and_then_given_up_with_its_event(database, units) -> None:
    async def work(ctx: JobContext) -> None:
        raise ValueError("a user's text that must not travel")

    jobs = make(database, units, work, max_attempts=3)
    await enqueue(units)
    async with Running(jobs):
        job = await wait_for(jobs, "failed")
    assert job.attempt == 3
    (row,) = await outbox(database)
    assert row.type == RecordsRejected.TYPE
    assert b"ValueError" in row.body
    assert b"a user's text" not in row.body


async def test_a_rejected_job_is_not_retried(database, units) -> None:
    async def work(ctx: JobContext) -> None:
        raise JobRejected("no such column")

    jobs = make(database, units, work)
    await enqueue(units)
    async with Running(jobs):
        job = await wait_for(jobs, "failed")
    assert (job.attempt, job.reason) == (1, "no such column")


async def test_a_dead_workers_job_goes_to_another_when_its_lease_is_out(database, units) -> None:
    await leased(database, "dead", timedelta(seconds=0.5))

    async def work(ctx: JobContext) -> None:
        async with ctx.finish():
            pass

    jobs = make(database, units, work, owner="b")
    async with Running(jobs):
        await asyncio.sleep(0.2)
        held = await jobs.get("k")
        assert held is not None and held.state == "running"
        job = await wait_for(jobs, "done")
    assert job.attempt == 2


async def test_a_worker_that_lost_its_lease_has_no_say(database, units) -> None:
    lost = []

    async def work(ctx: JobContext) -> None:
        async with database.transaction() as session:
            row = await session.get(JobRow, ("kind", "k"))
            assert row is not None
            row.owner, row.attempt = "b", 2
        try:
            async with ctx.finish() as uow:
                uow.emit(DatasetRejected(batches=(), reason="stale"))
        except JobLost:
            lost.append(True)
            raise

    jobs = make(database, units, work)
    await enqueue(units)
    async with Running(jobs):
        for _ in range(200):
            if lost:
                break
            await asyncio.sleep(0.02)
    assert lost and await outbox(database) == []


async def test_two_workers_of_one_process_never_share_a_job(database, units) -> None:
    seen: list[str] = []

    async def work(ctx: JobContext) -> None:
        seen.append(ctx.job.key)
        await asyncio.sleep(0.01)
        async with ctx.finish():
            pass

    jobs = make(database, units, work, concurrency=4)
    for number in range(12):
        await enqueue(units, f"k{number}")
    async with Running(jobs):
        for number in range(12):
            await wait_for(jobs, "done", f"k{number}")
    assert sorted(seen) == sorted(f"k{n}" for n in range(12))


async def test_a_running_job_is_cancelled(database, units) -> None:
    async def work(ctx: JobContext) -> None:
        await asyncio.sleep(60)

    jobs = make(database, units, work, lease_seconds=0.2)
    await enqueue(units)
    async with Running(jobs):
        await wait_for(jobs, "running")
        assert await jobs.cancel("k")
        await wait_for(jobs, "cancelled")
    (row,) = await outbox(database)
    assert row.type == RecordsRejected.TYPE


async def test_a_graceful_stop_gives_the_job_back(database, units) -> None:
    async def work(ctx: JobContext) -> None:
        await asyncio.sleep(60)

    jobs = make(database, units, work)
    await enqueue(units)
    async with Running(jobs):
        await wait_for(jobs, "running")
    job = await jobs.get("k")
    assert job is not None and (job.state, job.attempt) == ("queued", 0)

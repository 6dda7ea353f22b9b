"""Jobs when something else fails: the database, the failure's own event, a name that two have."""

import asyncio
import os
import subprocess
import sys
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import event as sa_event
from sqlalchemy import insert, select, text

from headrace_events import Event, new_id, topics
from headrace_events.data import DatasetRejected, RecordsRejected
from headrace_events.monitoring import AlertRaised, AlertResolved
from headrace_kit import JobContext, JobRejected
from headrace_kit import jobs as jobs_module
from headrace_kit.database import Database, JobRow, OutboxRow
from headrace_kit.job_log import forget_ended_jobs, job_of
from headrace_kit.jobs import Job, Jobs
from headrace_kit.leases import _place, is_gone, new_owner
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


async def finish(ctx: JobContext) -> None:
    async with ctx.finish():
        pass


def make(database, units, work, owner="a", failed=fail, **options) -> Jobs:
    return Jobs("kind", work, failed, database=database, units=units, owner=owner, **options)


async def enqueue(units: UnitsOfWork, *keys: str) -> None:
    for key in keys:
        async with units.begin(workload="w") as uow:
            await uow.enqueue("kind", key, {"n": 1})


@asynccontextmanager
async def running(*jobs: Jobs):
    tasks = [asyncio.create_task(j.run()) for j in jobs]
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def wait_for(jobs: Jobs, state: str, key: str = "k") -> Job:
    job = None
    for _ in range(500):
        job = await jobs.get(key)
        if job and job.state == state:
            return job
        await asyncio.sleep(0.02)
    raise AssertionError(f"job is {job and job.state}, not {state}")


async def emitted(database: Database) -> list[str]:
    async with database.reading() as session:
        rows = await session.scalars(select(OutboxRow).order_by(OutboxRow.seq))
        return [row.type for row in rows if row.topic != topics.JOBS]


async def test_a_job_whose_failure_cannot_be_told_holds_no_other_and_is_told_later(
    database, units
) -> None:
    broken, worked = True, []

    async def failed(job: Job, reason: str, uow: UnitOfWork) -> None:
        if broken:
            raise KeyError("a user's text")
        await fail(job, reason, uow)

    async def work(ctx: JobContext) -> None:
        worked.append(ctx.job.key)
        if ctx.job.key == "bad":
            raise JobRejected("no such column")
        await finish(ctx)

    jobs = make(database, units, work, failed=failed)
    await enqueue(units, "bad", "good")
    async with running(jobs):
        await wait_for(jobs, "done", "good")
        await wait_for(jobs, "queued", "bad")
        assert await emitted(database) == [AlertRaised.TYPE]
        await asyncio.sleep(0.2)
        broken = False
        job = await wait_for(jobs, "failed", "bad")
    assert (job.reason, job.attempt) == ("no such column", 1)
    assert worked == ["bad", "good"]  # the work is not done again only to fail again
    assert await emitted(database) == [
        AlertRaised.TYPE,
        RecordsRejected.TYPE,
        AlertResolved.TYPE,
    ]


async def test_a_job_is_worked_on_after_the_database_was_away_at_its_end(
    database, units, monkeypatch
) -> None:
    tries = []

    async def work(ctx: JobContext) -> None:
        tries.append(ctx.job.attempt)
        if len(tries) == 1:
            away(3)
            raise ValueError
        await finish(ctx)

    real = database.transaction

    def away(times: int) -> None:
        left = [times]

        @asynccontextmanager
        async def transaction():
            if left[0]:
                left[0] -= 1
                raise ConnectionError
            async with real() as session:
                yield session

        monkeypatch.setattr(database, "transaction", transaction)

    jobs = make(database, units, work)
    await enqueue(units, "k")
    async with running(jobs) as (task,):
        await wait_for(jobs, "done")
        assert not task.done()
    assert tries == [1, 2]


async def test_a_claim_whose_commit_fails_is_taken_again_by_the_same_process(
    database, units, monkeypatch
) -> None:
    real, left = database.transaction, [1]

    @asynccontextmanager
    async def transaction():
        async with real() as session:
            yield session
            if left[0]:
                left[0] -= 1
                raise ConnectionError("at the commit")

    await enqueue(units, "k")
    monkeypatch.setattr(database, "transaction", transaction)
    jobs = make(database, units, finish)
    async with running(jobs):
        assert (await wait_for(jobs, "done")).attempt == 1
    assert left == [0]


async def test_a_job_that_kills_its_workers_is_given_up_at_last(database, units) -> None:
    """Memory that is too little, say: nothing is left to note a failed attempt."""
    worked: list[int] = []

    async def work(ctx: JobContext) -> None:
        worked.append(ctx.job.attempt)
        await finish(ctx)

    jobs = make(database, units, work)
    await enqueue(units, "deadly", "harmless")
    most = 3 + jobs_module._MOST_DEATHS
    # As a worker leaves it that was killed: claimed, and its lease has run out.
    async with database.transaction() as session:
        row = await session.get(JobRow, ("kind", "deadly"))
        row.state, row.attempt, row.owner = "running", most, "another machine's"
        row.lease_until = datetime.now(UTC)
    async with running(jobs):
        job = await wait_for(jobs, "failed", "deadly")
        await wait_for(jobs, "done", "harmless")
    assert job.reason == f"its worker died in most of {most} attempts"
    assert worked == [1]  # the harmless one's
    assert await emitted(database) == [RecordsRejected.TYPE]


async def test_work_that_returns_without_an_end_is_a_failed_attempt(database, units) -> None:
    tries: list[int] = []

    async def work(ctx: JobContext) -> None:
        tries.append(ctx.job.attempt)

    jobs = make(database, units, work)
    await enqueue(units, "k")
    async with running(jobs):
        job = await wait_for(jobs, "failed")
        await asyncio.sleep(0.1)
    assert tries == [1, 2, 3] and job.reason == "JobLeftOpen at attempt 3 of 3"


async def test_a_heartbeat_lengthens_no_lease_of_another_and_stops_the_work(
    database, units
) -> None:
    begun, stopped = asyncio.Event(), asyncio.Event()

    async def work(ctx: JobContext) -> None:
        begun.set()
        try:
            await asyncio.sleep(60)
        finally:
            stopped.set()

    jobs = make(database, units, work, lease_seconds=0.5)
    await enqueue(units, "k")
    async with running(jobs):
        await begun.wait()
        until = datetime.now(UTC) + timedelta(hours=1)
        async with database.transaction() as session:
            row = await session.get(JobRow, ("kind", "k"), with_for_update=True)
            row.owner, row.attempt, row.lease_until = "b", 2, until
        await asyncio.wait_for(stopped.wait(), 5)
        await asyncio.sleep(0.3)
        async with database.reading() as session:
            row = await session.get(JobRow, ("kind", "k"))
            assert (row.owner, row.attempt, row.state) == ("b", 2, "running")
            assert abs(row.lease_until - until) < timedelta(seconds=1)
    assert await emitted(database) == []


async def test_a_cancellation_that_nobody_asked_for_is_a_failed_attempt(database, units) -> None:
    """As libraries do it that let the cancellation of their own tasks out."""

    async def work(ctx: JobContext) -> None:
        if ctx.job.attempt == 1:
            raise asyncio.CancelledError
        await finish(ctx)

    jobs = make(database, units, work)
    await enqueue(units, "k", "next")
    async with running(jobs) as (task,):
        assert (await wait_for(jobs, "done")).attempt == 2
        await wait_for(jobs, "done", "next")
        assert not task.done()


async def test_two_processes_of_one_name_share_no_job(database, units) -> None:
    begun: list[str] = []

    def worker(name: str) -> Jobs:
        async def work(ctx: JobContext) -> None:
            begun.append(name)
            await asyncio.sleep(0.5)
            await finish(ctx)

        return make(database, units, work, owner=new_owner("ingest-0"))

    first, second = worker("first"), worker("second")
    await enqueue(units, "k")
    async with running(first):
        await wait_for(first, "running")
        async with running(second):
            job = await wait_for(first, "done")
    assert (begun, job.attempt) == (["first"], 1)


async def test_a_killed_processes_job_is_taken_at_once(database, units) -> None:
    child = sleeping_process()
    owner = f"ingest-0 {child.pid}@{_place()} 0badcafe"
    now = datetime.now(UTC)
    async with database.transaction() as session:
        session.add(
            JobRow(
                kind="kind", key="k", workload="w", payload={}, cause=None, state="running",
                attempt=1, owner=owner, lease_until=now + timedelta(hours=1), created_at=now,
            )
        )  # fmt: skip
    jobs = make(database, units, finish, owner=new_owner("ingest-0"))
    async with running(jobs):
        await asyncio.sleep(0.3)
        held = await jobs.get("k")
        assert held is not None and held.state == "running"  # it lives
        child.kill()
        if sys.platform == "linux":
            job = await wait_for(jobs, "done")  # also while its parent has not looked at it
        child.wait()
        job = await wait_for(jobs, "done")
    assert job.attempt == 2


def test_who_is_gone_is_said_only_where_it_can_be_known() -> None:
    assert not is_gone(new_owner("a"))
    assert not is_gone("ingest-0")  # an older release's
    assert not is_gone(None)
    child = subprocess.Popen([sys.executable, "-c", ""])
    child.wait()
    assert is_gone(f"a {child.pid}@{_place()} 00000000")
    assert not is_gone(f"a {child.pid}@another-machine 00000000")
    assert not is_gone(f"a x@{_place()} 00000000")
    assert not is_gone(f"a {os.getpid()}@{_place()} 00000000")


def sleeping_process() -> "subprocess.Popen[bytes]":
    return subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)


async def add_many(database: Database, state: str, count: int, cause: str | None = None) -> None:
    now = datetime.now(UTC)
    row = {
        "kind": "kind", "workload": "w", "payload": {}, "state": state, "attempt": 0,
        "cancel_requested": False, "created_at": now, "cause": None,
    }  # fmt: skip
    async with database.transaction() as session:
        await session.execute(
            insert(JobRow),
            [
                {**row, "key": f"{state}{n}", "cause_id": f"{cause}{n}" if cause else None}
                for n in range(count)
            ],
        )


async def test_claims_and_look_ups_read_one_row_however_many_there_are(database, units) -> None:
    await add_many(database, "queued", 1500, cause="c")
    if not database.sqlite:
        async with database.transaction() as session:
            await session.execute(text("ANALYZE kit_jobs"))
    read = [0]
    sa_event.listen(JobRow, "load", lambda *_: read.__setitem__(0, read[0] + 1))
    assert await make(database, units, finish).work_one() is not None
    assert read[0] <= 4
    read[0] = 0
    outcome: Event = Event.new(
        DatasetRejected(batches=(), reason="r"), source="test", workload="w"
    ).model_copy(update={"causationid": "c7"})
    async with units.begin() as uow:
        found = await job_of(uow, outcome, "kind")
    assert found is not None and found.key == "queued7"
    assert read[0] == 1


async def test_ended_jobs_are_forgotten_after_their_time(database, units) -> None:
    await add_many(database, "done", 2500)
    await enqueue(units, "open")
    old = datetime.now(UTC) - timedelta(days=91)
    async with database.transaction() as session:
        await session.execute(text("UPDATE kit_jobs SET finished_at = created_at"))
        row = await session.get(JobRow, ("kind", "done7"))
        row.finished_at = datetime.now(UTC)
        open_row = await session.get(JobRow, ("kind", "open"))
        open_row.finished_at = None
    async with database.transaction() as session:
        for row in await session.scalars(select(JobRow).where(JobRow.finished_at.is_not(None))):
            row.finished_at = old if row.key != "done7" else row.finished_at
    assert await forget_ended_jobs(database, timedelta(days=90)) == 2499
    async with database.reading() as session:
        assert set(await session.scalars(select(JobRow.key))) == {"done7", "open"}


_OLD_JOBS = """CREATE TABLE kit_jobs (
    kind VARCHAR NOT NULL, key VARCHAR NOT NULL, workload VARCHAR NOT NULL, payload JSON NOT NULL,
    cause JSON, state VARCHAR NOT NULL, attempt INTEGER NOT NULL, owner VARCHAR,
    lease_until {time}, not_before {time}, cancel_requested BOOLEAN NOT NULL, reason VARCHAR,
    created_at {time} NOT NULL, finished_at {time}, PRIMARY KEY (kind, key))"""


_OLD_JOB = """INSERT INTO kit_jobs (kind, key, workload, payload, cause, state, attempt,
    cancel_requested, created_at) VALUES """


async def test_a_database_of_the_release_before_gets_what_it_lacks(database_url) -> None:
    database, cause = Database(database_url), new_id()
    time = "DATETIME" if database.sqlite else "TIMESTAMP WITH TIME ZONE"
    async with database.engine.begin() as connection:
        await connection.execute(text(_OLD_JOBS.format(time=time)))
        await connection.execute(text("CREATE INDEX kit_jobs_open ON kit_jobs (kind, state)"))
        for key, value in (("k", f'{{"id": "{cause}"}}'), ("none", "null")):
            row = f"('kind', '{key}', 'w', '{{}}', '{value}', 'queued', 0, false, '2026-01-01')"
            await connection.exec_driver_sql(_OLD_JOB + row)
    await asyncio.gather(database.create(), Database(database_url).create())
    await database.create()
    units = UnitsOfWork(database, "test", lambda: None)
    outcome: Event = Event.new(
        DatasetRejected(batches=(), reason="r"), source="test", workload="w"
    ).model_copy(update={"causationid": cause})
    async with units.begin() as uow:
        found = await job_of(uow, outcome, "kind")
    assert found is not None and found.key == "k"
    assert await make(database, units, finish).work_one() is not None
    await database.close()

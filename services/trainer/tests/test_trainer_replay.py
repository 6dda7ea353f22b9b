"""The trainer's state made again from the log is what it was."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2

from headrace_events.data import DatasetCurated
from headrace_events.references import ArtefactRef, DatasetRef, TableRef
from headrace_events.training import TrainingCancelRequested, TrainingRequested
from headrace_events.workload import Manifest, WorkloadApplied
from headrace_kit import Service
from headrace_kit.testing_replay import Life, rows_in
from headrace_trainer.adapters.ray_training import TrainingRefused
from headrace_trainer.adapters.runs import Run
from headrace_trainer.adapters.tables import Base
from headrace_trainer.app import build
from headrace_trainer.core.specification import Outcome, Progress, Specification
from headrace_trainer.events import JOB
from headrace_trainer.jobs import TrainingJobs
from headrace_trainer.settings import Settings

NAME = "support"


class Quick:
    """A training of no time; the third dataset version is refused."""

    async def run(self, specification: Specification) -> AsyncIterator[Progress | Outcome]:
        if specification.dataset.version == 3:
            raise TrainingRefused("no training rows")
        for step in (0, 1, 2):
            yield Progress(
                step=step, steps=2, loss=2.0, learning_rate=1e-3, tokens=9, tokens_per_second=5.0
            )
        yield Outcome(
            adapter="file:///a", steps=2, planned_steps=2, seconds=1.5, tokens=321, loss=0.25
        )


class NoMlflow:
    """Runs that are only named."""

    def open(self, specification: Specification) -> Run:
        return Run(f"run-{specification.job_id}", "file:///runs")

    def log(self, run: Run, progress: list[Progress]) -> None:
        pass

    def close(self, run: Run, outcome: Outcome) -> ArtefactRef:
        return ArtefactRef(uri=outcome.adapter, digest="a" * 64, size_bytes=12)

    def fail(self, job_id: str, workload: str) -> None:
        pass


def make(url: str) -> Service:
    service = build(Settings(database={"url": url}))
    training: Any = Quick()
    runs: Any = NoMlflow()
    jobs = TrainingJobs(service, training, runs, report_seconds=0.0)
    service._jobs[JOB]._work, service._jobs[JOB]._failed = jobs.work, jobs.failed
    return service


def curated(version: int) -> DatasetCurated:
    table = TableRef(uri="file:///d", version=version)
    dataset = DatasetRef(version=version, table=table, digest="d", train_rows=9, holdout_rows=2)
    return DatasetCurated(dataset=dataset, batches=("b",), sources=("s",), rejects={})


async def test_replay_makes_the_same_trainings(database_url: str, tmp_path: Path) -> None:
    life = Life(make(database_url), Base.metadata)
    await life.service.database.create()
    # Asked before anything is there: it fails at once, without a job.
    asked = TrainingRequested(reason="impatient")
    await life.give(asked, source="operators", workload=NAME)
    # The manifest comes late: the job's recipe is settled by an attempt, not when it was queued.
    await life.give(curated(1), source="data-quality", workload=NAME)
    manifest = Manifest.model_validate(
        {"apiVersion": "headrace/v1", "kind": "Workload", "metadata": {"name": NAME}}
    )
    applied = WorkloadApplied(revision=manifest.revision(), manifest=manifest)
    await life.give(applied, source="stack", workload=NAME)
    await life.work()
    await life.give(curated(2), source="data-quality", workload=NAME)
    await life.work()
    await life.give(curated(3), source="data-quality", workload=NAME)
    await life.work()
    again = await life.give(
        TrainingRequested(dataset=curated(2).dataset, reason="again"),
        source="operators",
        workload=NAME,
    )
    cancel = TrainingCancelRequested(job_id=f"ftjob-{again.id}")
    await life.give(cancel, source="operators", workload=NAME)
    await life.work()
    # Over HTTP: no event asked for it, and its row is made again all the same.
    transport = httpx2.ASGITransport(app=life.service.api)
    async with httpx2.AsyncClient(transport=transport, base_url="http://trainer") as http:
        for limit in (0, -1):
            wrong = await http.get("/v1/fine_tuning/jobs", params={"limit": limit})
            assert wrong.status_code == 400
        many = await http.get("/v1/fine_tuning/jobs", params={"limit": 2**70})
        assert many.status_code == 200
        made = await http.post("/v1/fine_tuning/jobs", json={"model": NAME})
        assert made.status_code == 200, made.text
    await life.publish()

    before = await life.dump()
    states = sorted(row["state"] for row in before["kit_jobs"])
    assert states == ["cancelled", "done", "done", "failed", "queued"]
    assert min(rows_in(before, "trainer_results", "trainer_datasets", "kit_inbox")) > 0
    after, report, fresh = await life.replayed(lambda: make(f"sqlite+aiosqlite:///{tmp_path}/r.db"))
    assert after == before
    assert (report.failed, report.unpublished, report.open_jobs) == ([], 0, 1)
    rest = Life(fresh, Base.metadata)
    await rest.publish()
    assert rest.log == [], "a replay publishes nothing"
    await rest.work()
    ended = [dict(r.headers)["ce_type"] for r in rest.log]
    assert ended == [b"training.failed.v1", b"job.finished.v1"]
    await fresh.database.close()
    await life.service.database.close()

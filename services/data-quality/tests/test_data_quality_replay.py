"""Data-quality's state made again from the log is what it was; the rows stay in Delta Lake."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from headrace_data_quality.adapters.tables import Base
from headrace_data_quality.app import build
from headrace_data_quality.settings import Settings
from headrace_events.data import RecordsLanded
from headrace_events.monitoring import DriftDetected
from headrace_events.workload import Manifest, WorkloadApplied
from headrace_kit import Service
from headrace_kit.testing_replay import Life, rows_in

NAME = "support"
SHOPS = ("bakery", "chemist", "bank", "florist", "library", "museum", "garage", "tailor")


def rows(subject: str) -> list[tuple[str, ...]]:
    return [
        (
            f"On which days does the {shop} in {subject} open its doors?",
            f"The {shop} of {subject} is open from Tuesday on.",
        )
        for shop in SHOPS
    ]


def make(url: str, storage: Path) -> Service:
    settings = Settings(database={"url": url}, storage={"root": str(storage)}, settle_seconds=0)
    return build(settings)


async def test_replay_makes_the_same_versions(
    database_url: str, tmp_path: Path, land_batch: Callable[..., RecordsLanded]
) -> None:
    storage = tmp_path / "storage"
    life = Life(make(database_url, storage), Base.metadata)
    await life.service.database.create()

    async def lands(batch: str, content: list[tuple[str, ...]]) -> None:
        landed = land_batch(storage, NAME, batch, content)
        await life.give(landed, source="ingest", workload=NAME)

    async def applied(**data: Any) -> None:
        manifest = Manifest.model_validate(
            {
                "apiVersion": "headrace/v1",
                "kind": "Workload",
                "metadata": {"name": NAME},
                "spec": {"data": {"min_rows": 5, "holdout": 0.3, "dedup": {"near": 1.0}, **data}},
            }
        )
        event = WorkloadApplied(revision=manifest.revision(), manifest=manifest)
        await life.give(event, source="stack", workload=NAME)

    async def drifts() -> None:
        drift = DriftDetected(
            statistic="psi", value=0.4, threshold=0.25, reference_rows=200, window_rows=200
        )
        await life.give(drift, source="monitor", workload=NAME)
        await life.work()

    await applied(min_rows=12)
    await lands("b1", rows("Budapest"))
    await life.work()  # too few rows: rejected, the batch waits
    await applied(min_rows=6)
    await life.work()  # the new manifest takes it: version 1
    await lands("b2", rows("Budapest"))
    await life.work()  # nothing new: used up
    await lands("b3", [*rows("Szeged"), ("Mail me at a@b.hu please, Anna", "Certainly, I will.")])
    await lands("b4", rows("Pécs"))
    await life.work()  # both in version 2
    await drifts()  # nothing landed since
    await lands("b5", rows("Győr"))

    before = await life.dump()
    assert [row["state"] for row in before["batches"]] == [
        "curated",
        "used_up",
        "curated",
        "curated",
        "pending",
    ]
    assert [row["trigger"] for row in before["dataset_versions"]] == ["manifest", "records"]
    assert {row["state"] for row in before["plans"]} == {"done", "rejected"}
    assert min(rows_in(before, "kit_jobs", "kit_inbox", "kit_workloads")) > 0
    published = len(life.log)

    after, report, fresh = await life.replayed(
        lambda: make(f"sqlite+aiosqlite:///{tmp_path}/r.db", storage)
    )
    assert after == before
    assert (report.failed, report.unpublished, report.open_jobs) == ([], 0, 1)
    rest = Life(fresh, Base.metadata)
    await rest.publish()
    assert rest.log == [] and len(life.log) == published, "a replay publishes nothing"
    await rest.work()  # the one batch that waited
    made = [dict(r.headers)["ce_type"] for r in rest.log]
    assert made == [b"dataset.curated.v1", b"job.finished.v1"]
    await fresh.database.close()
    await life.service.database.close()

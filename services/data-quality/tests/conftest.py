"""Data-quality without Kafka: its real database and real Delta tables, jobs run one by one."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from deltalake import DeltaTable, write_deltalake
from sqlalchemy import select, update

from headrace_data_quality import events
from headrace_data_quality.app import build
from headrace_data_quality.jobs import KIND
from headrace_data_quality.settings import Settings
from headrace_events import Event
from headrace_events.data import RecordsLanded
from headrace_events.monitoring import DriftDetected
from headrace_events.references import TableRef
from headrace_events.workload import Manifest, WorkloadApplied
from headrace_kit import Job, Service
from headrace_kit.database import JobRow, OutboxRow


def land(
    root: Path,
    workload: str,
    batch_id: str,
    rows: list[tuple[str, ...]],
    source: str = "file:test.csv",
) -> RecordsLanded:
    """Write a batch as ingest does; a third field of a row is its origin's kind."""
    now = datetime.now(UTC)
    frame = pl.DataFrame(
        {
            "record_id": [f"{batch_id}-{i}" for i in range(len(rows))],
            "batch_id": [batch_id] * len(rows),
            "source": [source] * len(rows),
            "prompt": [row[0] for row in rows],
            "completion": [row[1] for row in rows],
            "origin": [
                json.dumps(
                    {"row": i + 1, "file_row": i + 2, **({"kind": row[2]} if row[2:] else {})}
                )
                for i, row in enumerate(rows)
            ],
            "landed_at": pl.Series([now] * len(rows), dtype=pl.Datetime("us", "UTC")),
        }
    )
    uri = str(root / "raw" / workload)
    write_deltalake(uri, frame, mode="append", partition_by=["batch_id"])
    version = DeltaTable(uri).version()
    table = TableRef(uri=uri, version=version)
    return RecordsLanded(batch_id=batch_id, table=table, rows=len(rows), source=source)


def make_manifest(name: str, **data: Any) -> Manifest:
    """Return a manifest with these settings of `spec.data`."""
    return Manifest.model_validate(
        {
            "apiVersion": "headrace/v1",
            "kind": "Workload",
            "metadata": {"name": name},
            "spec": {"data": {"min_rows": 5, "holdout": 0.2, **data}},
        }
    )


class Bench:
    """A wired service whose events are handed in and whose outbox is looked at."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.root = Path(service.settings.storage.root)

    async def apply(self, name: str, **data: Any) -> None:
        manifest = make_manifest(name, **data)
        applied = WorkloadApplied(revision=manifest.revision(), manifest=manifest)
        event: Event[WorkloadApplied] = Event.new(applied, source="test", workload=name)
        async with self.service.unit_of_work(cause=event) as uow:
            await self.service.workloads.apply(event, uow)
            await events.workload_applied(event, uow)

    async def land(
        self,
        workload: str,
        batch_id: str,
        rows: list[tuple[str, ...]],
        source: str = "file:test.csv",
    ) -> None:
        landed = land(self.root, workload, batch_id, rows, source)
        event: Event[RecordsLanded] = Event.new(landed, source="test", workload=workload)
        async with self.service.unit_of_work(cause=event) as uow:
            await events.records_landed(event, uow)

    async def drift(self, workload: str) -> None:
        drifted = DriftDetected(
            statistic="psi", value=0.4, threshold=0.25, reference_rows=200, window_rows=200
        )
        event: Event[DriftDetected] = Event.new(drifted, source="test", workload=workload)
        async with self.service.unit_of_work(cause=event) as uow:
            await events.drift_detected(event, uow)

    async def run_jobs(self) -> list[Job]:
        """Run all jobs that can be claimed now; return them as they ended."""
        jobs = self.service._jobs[KIND]
        keys = []
        while job := await jobs.work_one():
            keys.append(job.key)
        return [job for key in keys if (job := await jobs.get(key))]

    async def outbox(self) -> list[tuple[str, dict[str, Any]]]:
        async with self.service.unit_of_work() as uow:
            rows = await uow.session.scalars(select(OutboxRow).order_by(OutboxRow.seq))
            # The chassis' journal about the jobs is not what these tests are about.
            return [
                (row.type, json.loads(row.body)) for row in rows if not row.type.startswith("job.")
            ]

    def table(self, kind: str, workload: str, version: int | None = None) -> pl.DataFrame:
        path = self.root / kind / workload
        if not DeltaTable.is_deltatable(str(path)):
            return pl.DataFrame()
        return pl.scan_delta(DeltaTable(str(path), version=version)).collect()


@pytest.fixture
async def make_bench(tmp_path: Path) -> AsyncIterator[Callable[[], Awaitable[Bench]]]:
    """Make benches on one folder: a second one is the same service after a restart."""
    services: list[Service] = []

    async def make() -> Bench:
        settings = Settings(
            database={"url": f"sqlite+aiosqlite:///{tmp_path / 'data-quality.db'}"},
            storage={"root": str(tmp_path / "storage")},
            settle_seconds=0,
        )
        service = build(settings)
        await service.database.create()
        await service.workloads.load(service.database)
        async with service.database.transaction() as session:
            # The one before is dead, though this test's process lives: its leases are out.
            await session.execute(update(JobRow).values(lease_until=None))
        services.append(service)
        return Bench(service)

    yield make
    for service in services:
        await service.database.close()


@pytest.fixture
async def bench(make_bench: Callable[[], Awaitable[Bench]]) -> Bench:
    """One bench."""
    return await make_bench()


@pytest.fixture
def land_batch() -> Callable[..., RecordsLanded]:
    """Write a batch as ingest does; return the event that announces it."""
    return land

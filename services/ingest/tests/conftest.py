"""Ingest without Kafka: its real database and real Delta tables, jobs run one by one."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from deltalake import DeltaTable
from sqlalchemy import select

from headrace_events import Event
from headrace_events.inference import FeedbackGiven, InferenceCompleted, Message, Usage
from headrace_events.workload import Manifest, WorkloadApplied
from headrace_ingest.app import build
from headrace_ingest.events import Handlers
from headrace_ingest.jobs import KIND
from headrace_ingest.settings import Settings
from headrace_kit import Job, Service
from headrace_kit.database import OutboxRow


class Bench:
    """A wired service whose events are handed in and whose outbox is looked at."""

    def __init__(self, service: Service, folder: Path) -> None:
        self.service = service
        self.folder = folder
        self.root = Path(service.settings.storage.root)
        self.handlers = Handlers(service)

    async def apply(self, name: str, *, event: bool = True, **data: Any) -> Event[WorkloadApplied]:
        manifest = Manifest.model_validate(
            {
                "apiVersion": "headrace/v1",
                "kind": "Workload",
                "metadata": {"name": name},
                "spec": {"data": data},
            }
        )
        applied = WorkloadApplied(revision=manifest.revision(), manifest=manifest)
        found: Event[WorkloadApplied] = Event.new(applied, source="test", workload=name)
        async with self.service.unit_of_work(cause=found) as uow:
            await self.service.workloads.apply(found, uow)
            if event:
                await self.handlers.workload_applied(found, uow)
        return found

    async def give(self, workload: str, feedback: FeedbackGiven) -> None:
        event = Event.new(feedback, source="test", workload=workload)
        async with self.service.unit_of_work(cause=event) as uow:
            await self.handlers.feedback_given(event, uow)

    async def run_jobs(self) -> list[Job]:
        """Run all jobs that can be claimed now; return them as they ended."""
        jobs = self.service._jobs[KIND]
        keys = []
        while job := await jobs.work_one():
            keys.append(job.key)
        return [job for key in keys if (job := await jobs.get(key))]

    async def outbox(self, type_: str = "") -> list[OutboxRow]:
        async with self.service.unit_of_work() as uow:
            rows = await uow.session.scalars(select(OutboxRow).order_by(OutboxRow.seq))
            # The chassis' journal about the jobs is not what these tests are about.
            return [
                row
                for row in rows
                if row.type.startswith(type_) and not row.type.startswith("job.")
            ]

    def table(self, kind: str, workload: str) -> pl.DataFrame:
        path = self.root / kind / workload
        if not DeltaTable.is_deltatable(str(path)):
            return pl.DataFrame()
        return pl.scan_delta(str(path)).collect()


@pytest.fixture
async def make_bench(tmp_path: Path) -> AsyncIterator[Callable[[], Awaitable[Bench]]]:
    """Make benches on one folder: a second one is the same service after a restart."""
    services: list[Service] = []

    async def make() -> Bench:
        settings = Settings(
            database={"url": f"sqlite+aiosqlite:///{tmp_path / 'ingest.db'}"},
            storage={"root": str(tmp_path / "storage")},
            capture={"flush_rows": 3, "flush_seconds": 3600, "judge_seconds": 0},
            max_file_bytes=3_000_000,
        )
        service = build(settings)
        await service.database.create()
        await service.workloads.load(service.database)
        services.append(service)
        return Bench(service, tmp_path)

    yield make
    for service in services:
        await service.database.close()


@pytest.fixture
async def bench(make_bench: Callable[[], Awaitable[Bench]]) -> Bench:
    """One bench."""
    return await make_bench()


def completed(number: int, workload: str = "support", **fields: Any) -> Event[InferenceCompleted]:
    """Return the outcome of request r<number>."""
    data = InferenceCompleted(
        **{
            "request_id": f"r{number}",
            "messages": (
                Message(role="user", content="first"),
                Message(role="assistant", content="and then?"),
                Message(role="user", content=f"Question {number}?"),
            ),
            "text": f"Answer {number}.",
            "model": workload,
            "model_version": "1",
            "arm": "production",
            "finish_reason": "stop",
            "usage": Usage(input_tokens=3, output_tokens=2),
            "latency_ms": 12.5,
            "trace_id": "ab" * 16,
            **fields,
        }
    )
    return Event.new(data, source="test", workload=workload)


@pytest.fixture
def outcome() -> Callable[..., Event[InferenceCompleted]]:
    """Make outcomes of requests."""
    return completed

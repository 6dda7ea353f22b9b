"""What is kept, of whom, and what a start reads of it."""

import asyncio
import time
import tracemalloc
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, insert, select

from headrace_events import Event, new_id
from headrace_events.inference import InferenceCompleted, Message, Usage
from headrace_kit import Service
from headrace_monitor.adapters.tables import Base, OutcomeRow, RatingRow
from headrace_monitor.core.retention import limits
from headrace_monitor.settings import Settings
from headrace_monitor.watches.retention import Retention
from headrace_monitor.watches.traffic import Traffic

NOW = datetime.now(UTC)


@pytest.fixture
async def service(database_url: str) -> AsyncIterator[Service]:
    made = Service(
        "monitor",
        Settings.model_validate(
            {
                "database": {"url": database_url},
                "monitor": {"keep_outcomes": 1000, "keep_outcomes_in_all": 2500},
            }
        ),
        tables=Base.metadata,
    )
    await made.database.create()
    yield made
    await made.database.close()


async def stored(service: Service, workload: str, count: int, ago: float = 60.0) -> None:
    async with service.unit_of_work() as uow:
        rows = [
            {
                "request_id": f"{workload}-{ago}-{n}",
                "workload": workload,
                "version": "1",
                "arm": "production",
                "kind": "ok",
                "latency_ms": 100.0,
                "at": NOW - timedelta(seconds=ago),
                "sketch": b"",
            }
            for n in range(count)
        ]
        await uow.session.execute(insert(OutcomeRow), rows)


async def kept(service: Service) -> dict[str, int]:
    async with service.reading() as session:
        rows = await session.execute(
            select(OutcomeRow.workload, func.count()).group_by(OutcomeRow.workload)
        )
        return {workload: count for workload, count in rows}


@pytest.mark.parametrize(
    ("counts", "found"),
    [
        ({}, {}),
        ({"a": 90, "b": 10}, {}),
        ({"a": 500, "b": 10}, {"a": 100}),
        ({"a": 100, "b": 100, "c": 100, "d": 10}, {"a": 80, "b": 80, "c": 80}),
        ({"a": 500, "b": 500, "c": 500, "d": 10}, {"a": 80, "b": 80, "c": 80}),
    ],
)
def test_what_is_too_much_is_taken_from_the_largest(
    counts: dict[str, int], found: dict[str, int]
) -> None:
    assert limits(counts, 100, 250) == found


async def test_a_busy_workload_loses_its_own_and_a_quiet_one_nothing(service: Service) -> None:
    await stored(service, "quiet", 400)
    await stored(service, "busy", 3000)
    retention = Retention(service, service.settings.monitor)  # type: ignore[attr-defined]
    await retention.tick()
    assert await kept(service) == {"quiet": 400, "busy": 1000}
    await stored(service, "old", 10, ago=100_000)
    await stored(service, "second", 3000)
    await retention.tick()
    assert await kept(service) == {"quiet": 400, "busy": 1000, "second": 1000}


async def test_a_start_reads_an_hour_of_traffic_in_parts(service: Service) -> None:
    for n in range(20):
        await stored(service, "docs", 1000, ago=100 + n)
    async with service.unit_of_work() as uow:
        uow.session.add_all(
            RatingRow(request_id=f"docs-100-{n}", rating=1, at=NOW) for n in range(5)
        )
        uow.session.add(RatingRow(request_id="nobody", rating=1, at=NOW))
    traffic = Traffic(service)
    tracemalloc.start()
    begun = time.process_time()
    await traffic.rebuild()
    spent = time.process_time() - begun
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    windows = traffic.board.windows(3600)
    assert [(w.requests, w.ratings) for w in windows] == [(20_000, 5)]
    # By ORM it was 65 us and 1.5 KiB a row, all rows at once; tracing alone slows this threefold.
    assert spent < 20_000 * 150e-6
    assert peak < 8 * 2**20


async def test_a_batch_of_long_prompts_leaves_the_event_loop_to_others(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    prompt = " ".join(f"word{n}" for n in range(1200))
    events: list[Event[Any]] = []
    for _ in range(300):
        data = InferenceCompleted(
            request_id=new_id(),
            messages=(Message(role="user", content=prompt),),
            text="an answer",
            model="docs",
            model_version="1",
            arm="production",
            finish_reason="stop",
            usage=Usage(input_tokens=12, output_tokens=30),
            latency_ms=10.0,
        )
        events.append(Event.new(data, source="guardrails", workload="docs"))
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    beside = asyncio.create_task(others())
    traffic = Traffic(service)
    # The database is awaited in any case: only the turns before it tell.
    before: list[int] = []
    unit_of_work = service.unit_of_work

    def begin(*arguments: Any, **more: Any) -> Any:
        before.append(turns)
        return unit_of_work(*arguments, **more)

    monkeypatch.setattr(service, "unit_of_work", begin)
    await traffic.outcomes(events)
    beside.cancel()
    assert before[0] >= 20

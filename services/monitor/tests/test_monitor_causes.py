"""What must not go unseen raises an alert with a reason and a next step, and each has an end."""

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from headrace_events import Event, new_id
from headrace_events.data import DatasetRejected, RecordsRejected
from headrace_events.monitoring import DeadLetterReplayed, DeadLetterWritten, ServiceStarted
from headrace_kit import Service
from headrace_kit.testing_replay import Life
from headrace_monitor.adapters.probes import ServiceState
from headrace_monitor.adapters.tables import AlertRow, Base
from headrace_monitor.app import build
from headrace_monitor.core import uptime as rules
from headrace_monitor.settings import Settings
from headrace_monitor.watches.uptime import UptimeWatch


class Watched(Life):
    """A monitor on a log in memory, and the alerts that it holds."""

    async def alert(self, name: str, workload: str = "docs") -> AlertRow | None:
        async with self.service.reading() as session:
            return await session.get(AlertRow, (workload, name))

    async def open(self) -> list[str]:
        async with self.service.reading() as session:
            query = select(AlertRow.name).where(AlertRow.resolved_at.is_(None))
            return sorted(await session.scalars(query))

    async def opened(self, name: str, workload: str = "docs") -> AlertRow:
        row = await self.alert(name, workload)
        assert row is not None and row.resolved_at is None, await self.open()
        assert row.summary and row.next_step
        return row

    async def ended(self, name: str, workload: str = "docs") -> None:
        row = await self.alert(name, workload)
        assert row is not None and row.resolved_at is not None and row.resolved_reason


@pytest.fixture
async def life(tmp_path: Path) -> AsyncIterator[Watched]:
    url = f"sqlite+aiosqlite:///{tmp_path}/m.db"
    made: Service = build(Settings.model_validate({"database": {"url": url}}))
    await made.database.create()
    yield Watched(made, Base.metadata)
    await made.database.close()


@pytest.fixture
def story(life: Watched, make_story: Callable[..., Any]) -> Any:
    told = make_story("docs")
    told.send = life.give_event
    return told


REFUSED = RecordsRejected(source="file:rows.csv", reason="column `completion` is missing")
FEW = DatasetRejected(batches=("b",), reason="20 rows, min_rows 50")


async def test_a_refused_source_is_an_alert_until_it_is_read(life: Watched, story: Any) -> None:
    await life.give(REFUSED, workload="docs")
    row = await life.opened("source/file:rows.csv")
    assert row.severity == "warning" and "column `completion` is missing" in row.summary
    await story.curated(1, source="another")
    assert "source/file:rows.csv" in await life.open(), "another source was read"
    await story.curated(2, source="file:rows.csv")
    await life.ended("source/file:rows.csv")


async def test_a_small_dataset_is_an_alert_until_one_is_made(life: Watched, story: Any) -> None:
    await life.give(FEW, workload="docs")
    assert "20 rows, min_rows 50" in (await life.opened("dataset/refused")).summary
    await story.curated(1)
    await life.ended("dataset/refused")


async def test_rows_that_are_not_new_are_none(life: Watched) -> None:
    await life.give(FEW.model_copy(update={"used_up": True}), workload="docs")
    assert await life.open() == []


async def test_both_end_when_the_workload_is_applied_anew(life: Watched, story: Any) -> None:
    await life.give(REFUSED, workload="docs")
    await life.give(FEW, workload="docs")
    await life.give(FEW, workload="other")
    await story.applied()
    assert await life.open() == ["dataset/refused"]
    await life.ended("source/file:rows.csv")


async def test_the_same_refusal_is_told_once(life: Watched) -> None:
    await life.give(REFUSED, workload="docs")
    before = len(life.log)
    await life.give(REFUSED, workload="docs")
    assert len(life.log) == before + 1, "only the refusal itself"
    other = REFUSED.model_copy(update={"reason": "no such file"})
    await life.give(other, workload="docs")
    assert "no such file" in (await life.opened("source/file:rows.csv")).summary


def letter(offset: int) -> DeadLetterWritten:
    return DeadLetterWritten(
        service="ingest", partition=0, offset=offset, topic="headrace.feedback", error="BadEvent"
    )


def replayed(offset: int) -> DeadLetterReplayed:
    return DeadLetterReplayed(
        replay_id=new_id(),
        service="ingest",
        partition=0,
        offset=offset,
        topic="headrace.feedback",
        error="BadEvent",
        operator="anna",
    )


async def test_dead_letters_are_one_alert_until_the_last_is_dealt_with(life: Watched) -> None:
    name = "dead-letters/ingest"
    for offset in (3, 4, 4):
        await life.give(letter(offset), workload="headrace")
    assert "BadEvent" in (await life.opened(name, "headrace")).summary
    assert len([r for r in life.log if dict(r.headers)["ce_type"] == b"alert.raised.v1"]) == 1
    await life.give(replayed(3), workload="headrace")
    await life.opened(name, "headrace")
    await life.give(replayed(4), workload="headrace")
    await life.ended(name, "headrace")
    # One that fails again is a letter of its own.
    await life.give(letter(5), workload="headrace")
    await life.opened(name, "headrace")


async def starts(life: Watched, ages: list[float], *, declared: bool = True) -> None:
    """Announce starts so many seconds ago."""
    for age in ages:
        fact = ServiceStarted(
            service="trainer",
            instance="trainer-0" if declared else new_id(),
            declared=declared,
            version="1",
        )
        at = datetime.now(UTC) - timedelta(seconds=age)
        event = Event[Any].new(fact, source="trainer", workload="headrace")
        await life.give_event(event.model_copy(update={"time": at}))


def probing(life: Watched, states: dict[str, ServiceState]) -> UptimeWatch:
    return UptimeWatch(life.service, lambda: states)


def says(state: Any) -> dict[str, ServiceState]:
    return {"trainer": ServiceState("trainer", state, "", datetime.now(UTC))}


async def test_a_service_that_dies_three_times_is_in_a_crash_loop(life: Watched) -> None:
    await starts(life, [30, 20, 10])
    assert await life.open() == []
    await starts(life, [1])
    row = await life.opened("crash-loop/trainer", "headrace")
    assert row.severity == "critical" and "headrace logs trainer" in (row.next_step or "")
    await probing(life, says("up")).tick()
    await life.opened("crash-loop/trainer", "headrace")


async def test_replicas_and_deployments_are_none(life: Watched) -> None:
    await starts(life, [4, 3, 2, 1, 0], declared=False)
    await starts(life, [3000, 2000, 1000, 0])
    assert await life.open() == []


@pytest.mark.parametrize(
    ("age", "state", "over"),
    [(400, "up", True), (200, "up", False), (400, "down", False), (4000, "down", True)],
)
async def test_a_crash_loop_is_over_when_it_runs_on(
    life: Watched, age: float, state: str, over: bool
) -> None:
    await starts(life, [age + 3, age + 2, age + 1, age])
    await life.opened("crash-loop/trainer", "headrace")
    await probing(life, says(state)).tick()
    assert (await life.open() == []) is over


async def test_a_service_that_does_not_answer_any_more_is_an_alert(
    life: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    states = says("down")
    watch = probing(life, states)
    monkeypatch.setattr(rules, "DOWN_AFTER", timedelta(0))
    await watch.tick()
    assert await life.open() == [], "it is being started"
    for state in ("up", "down"):
        states |= says(state)
        await watch.tick()
    await life.opened("service-down/trainer", "headrace")
    states |= says("not ready")
    await watch.tick()
    await life.ended("service-down/trainer", "headrace")


async def test_a_canary_that_nobody_asks_starves(life: Watched, story: Any) -> None:
    name, look = "canary/starving", life.service._periodic["canary watch"].tick
    watch: Any = look.__self__  # type: ignore[attr-defined]
    await story.applied()
    await story.canary("1", "base")
    await look()
    assert await life.open() == [], "it has just begun"
    watch._patience = type(watch._patience)(0.0, 300.0)
    await look()
    row = await life.opened(name)
    assert "version 1 starves" in row.summary and "Send requests to docs" in (row.next_step or "")
    await life.give_event(story.completed("1", "canary"))
    await look()
    await life.ended(name)
    watch._patience = type(watch._patience)(0.0, 0.0)
    await look()
    await life.opened(name)
    await story.stepped("1", 1)
    await life.ended(name)
    await look()
    await life.opened(name)
    await story.finished("1", "base", good=False)
    await life.ended(name)


async def test_a_replay_makes_the_same_alerts(life: Watched, story: Any, tmp_path: Path) -> None:
    await life.give(REFUSED, workload="docs")
    await life.give(FEW, workload="docs")
    for offset in (3, 4):
        await life.give(letter(offset), workload="headrace")
    await starts(life, [3, 2, 1, 0])
    await life.give(replayed(3), workload="headrace")
    await story.applied()
    await story.curated(1)
    before = await life.dump()
    after, report, fresh = await life.replayed(
        lambda: build(Settings(database={"url": f"sqlite+aiosqlite:///{tmp_path}/r.db"}))
    )
    assert len(before["alerts"]) == 4 and len(before["open_letters"]) == 1
    for table in ("alerts", "starts", "open_letters"):
        assert after[table] == before[table], table
    assert (report.failed, report.unpublished) == ([], 0)
    await fresh.database.close()


async def test_a_look_that_finds_nothing_new_writes_nothing(
    life: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = probing(life, says("up"))
    await watch.tick()

    def written(*_: Any, **__: Any) -> Any:
        raise AssertionError("it took the database's lock")

    monkeypatch.setattr(life.service, "unit_of_work", written)
    await watch.tick()

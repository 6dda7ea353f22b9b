"""What must not grow without bound: tables for invented names, small files, dead files."""

import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from deltalake import DeltaTable
from sqlalchemy import func, insert, select, update

from headrace_events import Event
from headrace_events.inference import FeedbackGiven, InferenceRejected
from headrace_ingest.adapters import delta, feedback_store
from headrace_ingest.adapters.capture_flush import CaptureFlush
from headrace_ingest.adapters.tables import CaptureRow, FeedbackRow
from headrace_ingest.metrics import CAPTURES_ASIDE
from headrace_kit import table_upkeep
from headrace_kit.database import JobRow
from headrace_kit.settings import Upkeep
from headrace_kit.table_upkeep import TableUpkeep


def aside(reason: str) -> float:
    return CAPTURES_ASIDE.labels(reason)._value.get()


def flush_of(bench: Any) -> CaptureFlush:
    return CaptureFlush(bench.service, bench.service.settings.capture)


async def staged(bench: Any) -> int:
    async with bench.service.unit_of_work() as uow:
        return int(await uow.session.scalar(select(func.count()).select_from(CaptureRow)))


async def test_a_name_that_nobody_applied_has_no_table(bench: Any, outcome: Any) -> None:
    await bench.apply("support")
    flush = flush_of(bench)
    await bench.handlers.outcomes([outcome(n, f"invented-{n % 4}") for n in range(40)])
    await bench.handlers.outcomes([outcome(100 + n) for n in range(3)])
    await flush.tick()
    assert [path.name for path in (bench.root / "traffic").iterdir()] == ["support"]
    # It may only be early: its manifest comes a moment later, and nothing of it was lost.
    await bench.apply("invented-1")
    await flush.tick()
    assert len(bench.table("traffic", "invented-1")) == 10
    await flush.clean()
    assert await staged(bench) == 43
    # Nobody applied the others within the time.
    before = aside("never_applied")
    async with bench.service.unit_of_work() as uow:
        for row in await uow.session.scalars(select(CaptureRow)):
            row.created_at = datetime.now(UTC) - timedelta(hours=2)
    await flush.clean()
    assert aside("never_applied") - before == 30
    assert await staged(bench) == 13
    assert sorted(p.name for p in (bench.root / "traffic").iterdir()) == ["invented-1", "support"]


async def test_a_request_to_no_workload_is_counted_and_not_kept(bench: Any) -> None:
    await bench.apply("support")
    refused = [
        Event.new(
            InferenceRejected(request_id=f"r{n}", reason="unknown_workload", detail="x",
                              stage="input"),
            source="test", workload=name,
        )
        for n, name in enumerate(("invented", "support", "../x"))
    ]  # fmt: skip
    before = aside("unknown_workload"), aside("unfit_name")
    await bench.handlers.outcomes(refused)
    assert (aside("unknown_workload"), aside("unfit_name")) == (before[0] + 1, before[1] + 1)
    assert await staged(bench) == 1


async def test_an_id_longer_than_its_column_spoils_no_batch(bench: Any, outcome: Any) -> None:
    await bench.handlers.outcomes([outcome(1), outcome(2, request_id="x" * 129), outcome(3)])
    assert await staged(bench) == 2


def upkeep_of(bench: Any, flush: CaptureFlush, **settings: Any) -> TableUpkeep:
    workloads = bench.service.workloads.all
    return TableUpkeep(
        str(bench.root),
        Upkeep(**settings),
        workloads,
        compacted=("traffic",),
        vacuumed=("traffic", "raw"),
        alone=flush.alone,
    )


def files(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.parquet"))


def age(folder: Path, hours: float) -> None:
    """Make the files as old as if the service had run for so long."""
    for path in files(folder):
        os.utime(path, (time.time() - hours * 3600,) * 2)


async def test_small_files_are_put_together_and_dead_ones_deleted(
    bench: Any, outcome: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    await bench.apply("support")
    flush = flush_of(bench)
    for start in range(0, 30, 3):
        await bench.handlers.outcomes([outcome(n) for n in range(start, start + 3)])
        await flush.tick()
        await bench.give("support", FeedbackGiven(request_id=f"r{start}", rating=1))
        await flush.tick()
    folder = bench.root / "traffic" / "support"
    table = DeltaTable(str(folder))
    live, there = len(table.file_uris()), len(files(folder))
    assert live >= 10
    assert there > live, "a merge leaves the file that it replaced"
    # Neither counts the commits: whichever version a merge made, the small files are seen.
    tidy = upkeep_of(bench, flush, small_files=live + 1, vacuum_seconds=0)
    await tidy.tick()
    assert len(DeltaTable(str(folder)).file_uris()) == live
    tidy = upkeep_of(bench, flush, small_files=live, vacuum_seconds=0)
    await tidy.tick()
    assert len(DeltaTable(str(folder)).file_uris()) == 1
    assert len(files(folder)) > 1, "somebody may be reading them"
    monkeypatch.setattr(table_upkeep, "vacuum", vacuum_of_tomorrow)
    (folder / "part-killed.parquet").write_bytes(b"half of a commit that never was")
    age(folder, 30)
    await tidy.tick()
    assert len(files(folder)) == 1
    rows = bench.table("traffic", "support")
    assert rows["request_id"].n_unique() == len(rows) == 30
    assert rows["rating"].drop_nulls().len() == 10


def vacuum_of_tomorrow(uri: str, _settings: Upkeep) -> int:
    # The log says when a file was removed: a moment ago, in a test.
    table = DeltaTable(uri)
    return len(
        table.vacuum(retention_hours=0, dry_run=False, enforce_retention_duration=False, full=True)
    )


async def test_raw_batches_outlive_the_upkeep(bench: Any, outcome: Any) -> None:
    await bench.apply("support", feedback_batch=1)
    flush = flush_of(bench)
    for number in range(4):
        await bench.handlers.outcomes([outcome(number)])
        await bench.give("support", FeedbackGiven(request_id=f"r{number}", rating=1))
        await bench.run_jobs()
    age(bench.root / "raw", 100)
    await upkeep_of(bench, flush, small_files=2, vacuum_seconds=0).tick()
    assert DeltaTable(str(bench.root / "raw" / "support")).version() == 3
    for version in range(4):
        found = DeltaTable(str(bench.root / "raw" / "support"), version=version)
        assert found.to_pyarrow_table().num_rows == version + 1


async def test_one_table_that_fails_holds_up_no_other(
    bench: Any, outcome: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []

    def compact(uri: str, _settings: Upkeep) -> int:
        seen.append(Path(uri).name)
        if uri.endswith("one"):
            raise OSError("the store is away")
        return 0

    monkeypatch.setattr(table_upkeep, "compact", compact)
    for name in ("one", "two"):
        await bench.apply(name)
    await upkeep_of(bench, flush_of(bench)).tick()
    assert seen == ["one", "two"]


async def test_a_table_forgets_the_ids_of_old_flushes(
    bench: Any, outcome: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    await bench.apply("support")
    flush = flush_of(bench)
    now = time.time_ns()
    for number, days in enumerate((90, 60, 0)):
        monkeypatch.setattr(delta.time, "time_ns", lambda days=days: now - days * 86_400 * 10**9)
        await bench.handlers.outcomes([outcome(3 * number + n) for n in range(3)])
        await flush.tick()
    monkeypatch.undo()
    folder = bench.root / "traffic" / "support"
    ids = [commit["headrace.commit"] for commit in DeltaTable(str(folder)).history()]
    DeltaTable(str(folder)).create_checkpoint()
    table = DeltaTable(str(folder))
    assert [table.transaction_version(one) for one in ids] == [1, None, None]
    (checkpoint,) = (folder / "_delta_log").glob("*.checkpoint.parquet")
    assert len(pl.read_parquet(checkpoint)["txn"].drop_nulls()) == 1
    assert len(bench.table("traffic", "support")) == 9


async def test_feedback_that_gathered_for_long_is_taken_up_in_several_batches(bench: Any) -> None:
    """One job named all of it: its event was too large, and the manifest a dead letter."""
    await bench.apply("support", feedback_batch=1_000_000)
    ids = [f"{number:0128}" for number in range(9000)]
    async with bench.service.unit_of_work() as uow:
        await uow.session.execute(
            insert(CaptureRow),
            [
                {
                    "request_id": one,
                    "workload": "support",
                    "outcome": "completed",
                    "created_at": datetime.now(UTC),
                    "record": None,
                    "flush_id": None,
                }
                for one in ids
            ],
        )
        await uow.session.execute(
            insert(FeedbackRow),
            [
                {
                    "request_id": one,
                    "workload": "support",
                    "rating": 1,
                    "correction": None,
                    "usable": True,
                    "revision": 1,
                    "judged": True,
                    "batch_id": None,
                }
                for one in ids
            ],
        )
    await bench.apply("support", feedback_batch=100)
    async with bench.service.unit_of_work() as uow:
        batches = list(await uow.session.scalars(select(FeedbackRow.batch_id)))
        jobs = list(await uow.session.scalars(select(JobRow.payload)))
    assert None not in batches
    named = [one for payload in jobs for one in payload["requests"]]
    assert sorted(named) == ids
    assert len(set(batches)) == len(jobs) == 5


async def test_feedback_on_requests_that_nobody_knows_is_forgotten(
    bench: Any, outcome: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It stayed for ever, with the text of its correction, for each id that anybody invented."""
    monkeypatch.setattr(feedback_store, "_FORGET_AT_ONCE", 2)
    await bench.apply("support")
    await bench.handlers.outcomes([outcome(1)])
    flush = flush_of(bench)

    async def ids() -> list[str]:
        async with bench.service.reading() as session:
            return sorted(await session.scalars(select(FeedbackRow.request_id)))

    for request_id in ("r1", "invented-1", "invented-2", "invented-3"):
        await bench.give("support", FeedbackGiven(request_id=request_id, rating=0, correction="x"))
    await flush.clean()
    assert len(await ids()) == 4, "its request may still come"
    long_ago = datetime.now(UTC) - timedelta(days=40)
    async with bench.service.unit_of_work() as uow:
        await uow.session.execute(update(FeedbackRow).values(given_at=long_ago))
    await bench.give("support", FeedbackGiven(request_id="late", rating=1))
    await flush.clean()
    assert await ids() == ["late", "r1"]


async def test_feedback_of_an_older_release_has_its_time_from_the_first_look(bench: Any) -> None:
    await bench.apply("support")
    await bench.give("support", FeedbackGiven(request_id="old", rating=1))
    async with bench.service.unit_of_work() as uow:
        await uow.session.execute(update(FeedbackRow).values(given_at=None))
    await flush_of(bench).clean()
    async with bench.service.reading() as session:
        (given_at,) = await session.scalars(select(FeedbackRow.given_at))
    assert datetime.now(UTC) - given_at < timedelta(minutes=5)

"""Landing: each source once, whatever is repeated or killed, and never a half."""

import json
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from headrace_events.references import TableRef
from headrace_events.workload import Source
from headrace_ingest.adapters import raw_table
from headrace_ingest.core.landing import Landing
from headrace_ingest.core.records import RawRecord, Row
from headrace_ingest.core.sources import plan_reads, source_name
from headrace_kit.database import JobRow


def write(folder: Path, name: str, rows: int = 3) -> Path:
    path = folder / name
    lines = [f"Kérdés {i}?,válasz {i}" for i in range(rows)]
    path.write_text("\n".join(["prompt,completion", *lines]) + "\n", encoding="utf-8")
    return path


def file_source(path: Path, **fields: Any) -> dict[str, Any]:
    return {"type": "file", "path": str(path), **fields}


async def test_a_manifest_lands_its_sources(bench: Any, tmp_path: Path) -> None:
    await bench.apply("support", sources=[file_source(write(tmp_path, "a.csv"))])
    (job,) = await bench.run_jobs()
    assert job.state == "done"
    (event,) = await bench.outbox()
    landed = json.loads(event.body)
    assert (event.type, landed["rows"], landed["source"]) == (
        "records.landed.v1", 3, "file:a.csv",
    )  # fmt: skip
    table = bench.table("raw", "support")
    assert table.columns == [
        "record_id", "batch_id", "source", "prompt", "completion", "origin", "landed_at",
    ]  # fmt: skip
    assert table["batch_id"].unique().to_list() == [landed["batch_id"]]
    assert landed["table"] == {"uri": str(bench.root / "raw" / "support"), "version": 0}
    assert sorted(table["prompt"]) == ["Kérdés 0?", "Kérdés 1?", "Kérdés 2?"]


async def test_applied_twice_it_lands_once(bench: Any, tmp_path: Path) -> None:
    source = file_source(write(tmp_path, "a.csv"))
    for _ in range(2):
        await bench.apply("support", sources=[source])
        await bench.run_jobs()
    # Another revision of the manifest, the same source: it is read, and its batch is known.
    await bench.apply("support", sources=[source], min_rows=7)
    (job,) = await bench.run_jobs()
    assert job.state == "done"
    assert len(bench.table("raw", "support")) == 3
    assert len(await bench.outbox()) == 1


async def test_a_changed_file_lands_again(bench: Any, tmp_path: Path) -> None:
    source = file_source(write(tmp_path, "a.csv"))
    await bench.apply("support", sources=[source])
    await bench.run_jobs()
    write(tmp_path, "a.csv", rows=5)
    await bench.apply("support", sources=[source])
    await bench.run_jobs()
    assert [json.loads(e.body)["rows"] for e in await bench.outbox()] == [3, 5]


async def test_limit_and_slice(bench: Any, tmp_path: Path) -> None:
    path = write(tmp_path, "a.csv", rows=200)
    halves = [file_source(path, part=part) for part in ((0.0, 0.5), (0.5, 1.0))]
    await bench.apply("support", sources=[*halves, file_source(path, limit=5)])
    await bench.run_jobs()
    low, high, limited = [json.loads(e.body)["rows"] for e in await bench.outbox()]
    assert low + high == 200
    assert 70 < low < 130
    assert limited == 5


async def test_what_cannot_be_read_is_rejected_whole(bench: Any, tmp_path: Path) -> None:
    broken = tmp_path / "broken.parquet"
    broken.write_bytes(b"PAR1 nothing")
    sources = [
        file_source(tmp_path / "none.csv"),
        file_source(write(tmp_path, "a.csv"), completion="label"),
        file_source(broken),
    ]
    await bench.apply("support", sources=sources)
    jobs = await bench.run_jobs()
    assert {job.state for job in jobs} == {"failed"}
    events = await bench.outbox()
    assert {event.type for event in events} == {"records.rejected.v1"}
    assert len({event.event_id for event in events}) == 3
    reasons = {json.loads(e.body)["source"]: json.loads(e.body)["reason"] for e in events}
    assert "No such file" in reasons["file:none.csv"]
    assert "missing column `label`; the file has `prompt`, `completion`" in reasons["file:a.csv"]
    assert "not Parquet" in reasons["file:broken.parquet"]
    assert bench.table("raw", "support").is_empty()


async def test_killed_after_the_commit_it_lands_once(
    make_bench: Callable[[], Awaitable[Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The Delta commit is there, the database knows nothing of it: what kill -9 leaves."""
    first = await make_bench()
    await first.apply("support", sources=[file_source(write(tmp_path, "a.csv"))])

    class Killed(BaseException):
        pass

    land = Landing.land_source

    async def land_and_die(*arguments: Any, **named: Any) -> None:
        await land(*arguments, **named)
        raise Killed

    monkeypatch.setattr(Landing, "land_source", land_and_die)
    with pytest.raises(Killed):
        await first.run_jobs()
    assert len(first.table("raw", "support")) == 3
    assert await first.outbox() == []
    monkeypatch.setattr(Landing, "land_source", land)
    second = await make_bench()
    # A dead worker's lease runs out: another process cannot know that it is dead.
    assert await second.run_jobs() == []
    async with second.service.unit_of_work() as uow:
        await uow.session.execute(update(JobRow).values(lease_until=datetime.now(UTC)))
    (job,) = await second.run_jobs()
    assert (job.state, job.attempt) == ("done", 2)
    assert len(second.table("raw", "support")) == 3
    assert len(await second.outbox("records.landed")) == 1


def test_a_batch_is_committed_once(tmp_path: Path) -> None:
    now = datetime.now(UTC)
    batches = [
        [RawRecord(f"{batch}-{i}", batch, "test", "p", "c", now) for i in range(4)]
        for batch in ("one", "two")
    ]
    first = raw_table.land(str(tmp_path), "support", batches[0])
    raw_table.land(str(tmp_path), "support", batches[1])
    assert raw_table.land(str(tmp_path), "support", batches[0]) == first
    assert raw_table.count_rows(str(tmp_path), "support") == 8


def test_keys_of_reads_tell_states_and_workloads_apart(bench: Any) -> None:
    from headrace_events.workload import Manifest

    def keys(name: str, state: str) -> list[str]:
        manifest = Manifest.model_validate(
            {
                "apiVersion": "headrace/v1",
                "kind": "Workload",
                "metadata": {"name": name},
                "spec": {"data": {"sources": [{"type": "file", "path": "x/a.csv"}]}},
            }
        )
        return [read.key for read in plan_reads(manifest, lambda _path: state)]

    assert keys("a", "1") == keys("a", "1")
    assert len({*keys("a", "1"), *keys("a", "2"), *keys("b", "1")}) == 3
    assert source_name(Source(type="file", path="x/a.csv")) == "file:a.csv"


async def test_an_empty_slice_is_refused() -> None:
    async def read(_source: Source) -> list[Row]:
        return [Row("only one", "x")]

    from headrace_ingest.core.errors import UnreadableSource

    class Table:
        """Keeps what it is given."""

        def __init__(self) -> None:
            self.landed: list[RawRecord] = []

        async def land(self, workload: str, records: Sequence[RawRecord]) -> TableRef:
            self.landed += records
            return TableRef(uri="kept", version=0)

    table = Table()
    landing = Landing(read, table)
    refused = 0
    for part in ((0.0, 0.5), (0.5, 1.0)):
        source = Source(type="python_docs", part=part)
        try:
            await landing.land_source("w", source, source_id="s", name="n")
        except UnreadableSource as error:
            refused += 1
            assert "no row of the source lies in the slice" in error.reason
    assert refused == 1
    assert [record.prompt for record in table.landed] == ["only one"]

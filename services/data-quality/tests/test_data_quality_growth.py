"""Rejects do not grow without bound; dataset versions stay readable for ever."""

from typing import Any

from deltalake import DeltaTable

from headrace_kit.settings import Upkeep
from headrace_kit.table_upkeep import TableUpkeep


async def test_rejects_are_tidied_up_and_no_version_is_lost(bench: Any) -> None:
    await bench.apply("support", min_rows=2, holdout=0.0)
    for number in range(5):
        rows = [(f"Where is parcel {number}{row} of mine, please?", f"There {row}.")
                for row in range(4)]  # fmt: skip
        await bench.land("support", f"b{number}", [*rows, ("", "no prompt")])
        await bench.run_jobs()
    folder = bench.root / "rejects" / "support"
    before = bench.table("rejects", "support")
    assert len(before) == 5
    versions = [bench.table("datasets", "support", n) for n in range(5)]
    small = len(DeltaTable(str(folder)).file_uris())
    assert small == 5
    assert "table upkeep" in bench.service._periodic

    upkeep = TableUpkeep(
        str(bench.root),
        Upkeep(small_files=5, vacuum_seconds=0),
        bench.service.workloads.all,
        compacted=("rejects",),
        vacuumed=("rejects",),
    )
    await upkeep.tick()
    assert len(DeltaTable(str(folder)).file_uris()) == 1
    assert bench.table("rejects", "support").sort("batch_id").equals(before.sort("batch_id"))
    after = [bench.table("datasets", "support", n) for n in range(5)]
    assert all(a.sort("record_id").equals(b.sort("record_id"))
               for a, b in zip(versions, after, strict=True))  # fmt: skip
    # What an earlier attempt committed is found again behind the compaction.
    await bench.land("support", "b9", [("Where is parcel 99 of mine, please?", "Here."), ("", "x")])
    await bench.run_jobs()
    assert len(bench.table("rejects", "support")) == 6

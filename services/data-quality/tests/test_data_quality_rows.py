"""Rows and rejects over HTTP: where they stand in their file, and what they collide with."""

from typing import Any

import httpx2
import polars as pl
import pytest
from deltalake import write_deltalake

SHOPS = ("bakery", "chemist", "bank", "florist", "library", "museum", "garage", "tailor")
ROWS: list[tuple[str, ...]] = [
    (f"On which days does the {shop} in Szeged open its doors?", f"The {shop} opens on Tuesday.")
    for shop in SHOPS
]


async def get(bench: Any, path: str, **query: Any) -> Any:
    transport = httpx2.ASGITransport(app=bench.service.api)
    async with httpx2.AsyncClient(transport=transport, base_url="http://dq") as client:
        found = await client.get(path, params=query)
    return found.json() if found.status_code == 200 else (found.status_code, found.json())


async def test_rows_say_where_they_stand_and_their_text_where_asked(bench: Any) -> None:
    await bench.apply("support")
    await bench.land("support", "b1", ROWS, source="file:a.csv")
    await bench.run_jobs()
    path = "/datasets/support/versions/1/rows"
    found = await get(bench, path)
    assert [row["file_row"] for row in found["data"]] == [2, 3, 4, 5, 6, 7, 8, 9]
    assert found["next"] is None
    assert "Szeged" not in str(found)
    assert found["data"][0]["prompt_chars"] == len(ROWS[0][0])
    shown = await get(bench, path, text=True, limit=3)
    assert [row["prompt"] for row in shown["data"]] == [row[0] for row in ROWS[:3]]
    rest = await get(bench, path, cursor=shown["next"])
    assert [row["file_row"] for row in rest["data"]] == [5, 6, 7, 8, 9]
    sides = [len((await get(bench, path, split=side))["data"]) for side in ("train", "holdout")]
    assert sum(sides) == 8
    assert min(sides) > 0
    assert (await get(bench, path, cursor="bm90IG9uZQ"))[0] == 400


async def test_rejects_say_why_and_what_they_collide_with(bench: Any) -> None:
    await bench.apply("support", dedup={"near": 0.8}, holdout=0.0)
    bad = [
        ("Mail me at anna@example.hu?", ""),
        ROWS[0],
        (ROWS[1][0].replace("?", " now?"), ROWS[1][1]),
    ]
    await bench.land("support", "b1", [*ROWS, *bad], source="file:a.csv")
    await bench.run_jobs()
    path = "/datasets/support/versions/1/rejects"
    empty, same, near = (await get(bench, path))["data"]
    assert (empty["reason"], empty["file_row"], empty["kept"]) == ("empty_completion", 10, None)
    assert empty["detail"] == "its answer is empty"
    assert (same["file_row"], same["kept"]["file_row"]) == (11, 2)
    assert same["detail"] == "the same prompt and answer as file row 2 of a.csv"
    assert (near["reason"], near["file_row"], near["kept"]["file_row"]) == ("near_duplicate", 12, 3)
    assert 0.8 <= near["similarity"] < 1
    assert empty["prompt"] is None
    (shown,) = (await get(bench, path, text=True, reason="empty_completion"))["data"]
    assert shown["prompt"] == "Mail me at <EMAIL>?", "personal data stays out of sight"
    (shown,) = (await get(bench, path, text=True, reason="near_duplicate"))["data"]
    assert shown["kept"]["prompt"] == ROWS[1][0]
    status, said = await get(bench, path, reason="ugly")
    assert status == 400
    assert "empty_completion" in said["error"]["message"]
    one = await get(bench, path, limit=1)
    assert [r["file_row"] for r in (await get(bench, path, cursor=one["next"]))["data"]] == [11, 12]


async def test_a_later_batch_collides_with_a_row_of_the_version_before(bench: Any) -> None:
    await bench.apply("support")
    await bench.land("support", "b1", ROWS[:6], source="file:a.csv")
    await bench.run_jobs()
    await bench.land("support", "b2", ROWS[5:], source="file:b.csv")
    await bench.run_jobs()
    (same,) = (await get(bench, "/datasets/support/versions/2/rejects"))["data"]
    assert (same["source"], same["file_row"]) == ("file:b.csv", 2)
    assert same["detail"] == "the same prompt and answer as file row 7 of a.csv"
    version = await get(bench, "/datasets/support/versions/2")
    assert version["sources"] == ["file:a.csv", "file:b.csv"]
    assert version["inputs"] == [
        {"source": "file:a.csv", "batches": 1, "rows": 6},
        {"source": "file:b.csv", "batches": 1, "rows": 3},
    ]


async def test_a_refused_dataset_is_listed_with_its_reason_and_its_rejects(bench: Any) -> None:
    await bench.apply("support", min_rows=9)
    await bench.land("support", "b1", [*ROWS, ("", "x")])
    await bench.run_jobs()
    (refused,) = (await get(bench, "/datasets"))["data"]
    assert (refused["version"], refused["state"]) == (1, "refused")
    assert "8 rows are left and spec.data.min_rows asks for 9" in refused["reason"]
    path = "/datasets/support/versions/1/rejects"
    assert [r["reason"] for r in (await get(bench, path))["data"]] == ["empty_prompt"]
    status, said = await get(bench, "/datasets/support/versions/1/rows")
    assert (status, "was not made" in said["error"]["message"]) == (404, True)
    await bench.land("support", "b2", [("Which way is it to the station?", "Left.")])
    await bench.run_jobs()
    (made,) = (await get(bench, "/datasets"))["data"]
    assert (made["version"], made["state"], made["reason"]) == (1, "curated", None)
    assert len((await get(bench, path))["data"]) == 1
    await bench.land("support", "b3", ROWS[:2])
    await bench.run_jobs()
    newest, first = (await get(bench, "/datasets/support"))["data"]
    assert (newest["state"], first["state"]) == ("refused", "curated")
    found = (await get(bench, "/datasets/support/versions/2/rejects"))["data"]
    assert [r["reason"] for r in found] == ["exact_duplicate"] * 2


async def test_rejects_of_the_release_before_tell_their_reason(bench: Any) -> None:
    await bench.apply("support")
    await bench.land("support", "b1", ROWS)
    await bench.run_jobs()
    # That release wrote these four columns, and no name of them.
    frame = pl.DataFrame({"record_id": ["b1-0"], "batch_id": ["b1"], "dataset_version": [1],
                          "reason": ["exact_duplicate"]})  # fmt: skip
    write_deltalake(str(bench.root / "rejects" / "support"), frame, mode="append")
    from headrace_data_quality.adapters.tables import VersionRow

    async with bench.service.unit_of_work() as uow:
        row = await uow.session.get(VersionRow, ("support", 1))
        row.rejects = {"exact_duplicate": 1}
    (old,) = (await get(bench, "/datasets/support/versions/1/rejects"))["data"]
    assert old["file_row"] is None
    assert "not kept by the release that made it" in old["detail"]
    # The next version is written beside it.
    await bench.land("support", "b2", [("Which way is it to the station?", "Left."), ("", "x")])
    await bench.run_jobs()
    assert len((await get(bench, "/datasets/support/versions/2/rejects"))["data"]) == 1
    assert len((await get(bench, "/datasets/support/versions/1/rejects"))["data"]) == 1


@pytest.mark.parametrize("end", ["rows", "rejects"])
async def test_unknown_ones_are_404(bench: Any, end: str) -> None:
    for number in (0, 7, 2**31, 2**70):
        assert (await get(bench, f"/datasets/nobody/versions/{number}/{end}"))[0] == 404

"""Versions: one per plan whatever is repeated or killed, immutable, and refused with a reason."""

from collections.abc import Awaitable, Callable
from typing import Any

import httpx2
import pytest

from headrace_data_quality.adapters import dataset_table, reject_table
from headrace_data_quality.adapters.curating import Curator

CITIES = [
    "Budapest",
    "Debrecen",
    "Szeged",
    "Miskolc",
    "Pécs",
    "Győr",
    "Nyíregyháza",
    "Kecskemét",
    "Székesfehérvár",
    "Szombathely",
    "Szolnok",
    "Tatabánya",
    "Kaposvár",
    "Érd",
    "Veszprém",
    "Békéscsaba",
    "Zalaegerszeg",
    "Sopron",
    "Eger",
    "Nagykanizsa",
]


def rows(start: int = 0, stop: int = 20, answer: str = "Igen") -> list[tuple[str, ...]]:
    return [
        (f"Van-e bankfiók {city} belvárosában szombaton?", f"{answer}, {city} belvárosában van.")
        for city in CITIES[start:stop]
    ]


async def test_a_batch_becomes_a_version(bench: Any) -> None:
    await bench.apply("support")
    await bench.land("support", "b1", [*rows(), ("", "x"), ("Írj ide: a@b.hu", "Jó.")])
    (job,) = await bench.run_jobs()
    assert job.state == "done"
    ((type_, event),) = await bench.outbox()
    assert type_ == "dataset.curated.v1"
    dataset = event["dataset"]
    assert (dataset["version"], dataset["train_rows"] + dataset["holdout_rows"]) == (1, 21)
    assert dataset["holdout_rows"] > 0
    assert event["rejects"] == {"empty_prompt": 1}
    assert event["redactions"] == {"email": 1}
    assert (event["batches"], event["sources"]) == (["b1"], ["file:test.csv"])
    table = bench.table("datasets", "support", dataset["table"]["version"])
    assert table.columns[:5] == ["record_id", "prompt", "completion", "language", "split"]
    assert table.filter(table["split"] == "holdout").height == dataset["holdout_rows"]
    assert "Írj ide: <EMAIL>" in table["prompt"].to_list()
    rejects = bench.table("rejects", "support")
    assert rejects.rows()[0][:4] == ("b1-20", "b1", 1, "empty_prompt")


async def test_batches_that_wait_make_one_version(bench: Any) -> None:
    await bench.apply("support")
    await bench.land("support", "b1", rows(0, 10))
    await bench.land("support", "b2", rows(10, 20))
    jobs = await bench.run_jobs()
    assert [job.state for job in jobs] == ["done", "done"]
    ((_, event),) = await bench.outbox()
    assert event["batches"] == ["b1", "b2"]


async def test_the_next_version_holds_the_old_rows_and_leaves_the_old_version(bench: Any) -> None:
    await bench.apply("support")
    await bench.land("support", "b1", rows(0, 12))
    await bench.run_jobs()
    correction = (rows()[3][0], "Nem, most zárva van.", "correction")
    await bench.land("support", "b2", [*rows(10, 20), correction])
    await bench.run_jobs()
    (_, first), (_, second) = await bench.outbox()
    assert second["dataset"]["version"] == 2
    assert second["rejects"] == {"exact_duplicate": 2, "superseded": 1}
    versions = [e["dataset"]["table"]["version"] for e in (first, second)]
    old, new = (bench.table("datasets", "support", v) for v in versions)
    assert (old.height, new.height) == (12, 20)
    split = {r[0]: r[1] for r in old.select("prompt", "split").rows()}
    after = {r[0]: r[1] for r in new.select("prompt", "split").rows()}
    assert all(after[prompt] == side for prompt, side in split.items())
    assert "Nem, most zárva van." in new["completion"].to_list()


async def test_a_version_names_the_sources_of_all_its_rows(bench: Any) -> None:
    await bench.apply("support")
    for number, source in enumerate(("file:may.csv", "file:june.csv", "file:may.csv")):
        await bench.land("support", f"b{number}", rows(number * 6, number * 6 + 6), source)
        await bench.run_jobs()
    told = [event for kind, event in await bench.outbox() if kind == "dataset.curated.v1"]
    assert [event["sources"] for event in told] == [
        ["file:may.csv"],
        ["file:may.csv", "file:june.csv"],
        ["file:may.csv", "file:june.csv"],
    ]
    assert [event["batches"] for event in told] == [["b0"], ["b1"], ["b2"]]


async def test_too_few_rows_wait_for_more(bench: Any) -> None:
    await bench.apply("support", min_rows=15)
    await bench.land("support", "b1", rows(0, 8))
    await bench.run_jobs()
    ((type_, event),) = await bench.outbox()
    assert type_ == "dataset.rejected.v1"
    assert "8 rows are left and spec.data.min_rows asks for 15" in event["reason"]
    assert bench.table("datasets", "support").is_empty()
    await bench.land("support", "b2", rows(8, 20))
    await bench.run_jobs()
    type_, event = (await bench.outbox())[-1]
    assert (type_, event["batches"]) == ("dataset.curated.v1", ["b1", "b2"])


async def test_a_new_manifest_curates_what_waits(bench: Any) -> None:
    await bench.apply("support", min_rows=15)
    await bench.land("support", "b1", rows(0, 12))
    await bench.run_jobs()
    await bench.apply("support", min_rows=10)
    await bench.run_jobs()
    assert [type_ for type_, _ in await bench.outbox()] == [
        "dataset.rejected.v1", "dataset.curated.v1",
    ]  # fmt: skip


async def test_nothing_new_is_said_and_not_tried_again(bench: Any) -> None:
    await bench.apply("support")
    await bench.land("support", "b1", rows())
    await bench.run_jobs()
    await bench.land("support", "b2", rows(0, 5))
    await bench.run_jobs()
    type_, event = (await bench.outbox())[-1]
    assert type_ == "dataset.rejected.v1"
    assert event["reason"] == (
        "nothing new since version 1: every new record was dropped (exact_duplicate 5)"
    )
    rejects = bench.table("rejects", "support")
    assert rejects["dataset_version"].to_list() == [None] * 5
    await bench.drift("support")
    await bench.run_jobs()
    type_, event = (await bench.outbox())[-1]
    assert event["batches"] == []
    assert "no records have landed since version 1" in event["reason"]


async def test_drift_curates_what_has_landed(bench: Any) -> None:
    await bench.apply("support", min_rows=20)
    await bench.land("support", "b1", rows(0, 12))
    await bench.run_jobs()
    await bench.apply("support", min_rows=20)
    await bench.run_jobs()
    await bench.drift("support")
    await bench.run_jobs()
    types = [type_ for type_, _ in await bench.outbox()]
    assert types == ["dataset.rejected.v1"] * 3, "the drift looked at the waiting batch again"
    await bench.land("support", "b2", rows(12, 20))
    await bench.drift("support")
    await bench.run_jobs()
    curated = [event for type_, event in await bench.outbox() if type_ == "dataset.curated.v1"]
    assert [event["dataset"]["version"] for event in curated] == [1]


@pytest.mark.parametrize("moment", ["before", "after_rejects", "after_version"])
async def test_killed_at_any_moment_there_is_one_version_and_one_event(
    make_bench: Callable[[], Awaitable[Any]], monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    class Killed(BaseException):
        pass

    def dying(module: Any, name: str, *, after: bool) -> None:
        real = getattr(module, name)

        def die(*arguments: Any, **named: Any) -> Any:
            if after:
                real(*arguments, **named)
            raise Killed

        monkeypatch.setattr(module, name, die)

    first = await make_bench()
    await first.apply("support")
    await first.land("support", "b1", [*rows(), ("", "x")])
    with monkeypatch.context():
        if moment == "before":
            dying(reject_table, "append", after=False)
        elif moment == "after_rejects":
            dying(dataset_table, "write_version", after=False)
        else:
            dying(dataset_table, "write_version", after=True)
        with pytest.raises(Killed):
            await first.run_jobs()
        monkeypatch.undo()
    assert await first.outbox() == []
    second = await make_bench()
    # What lands meanwhile is not mixed into the version that was begun.
    await second.land("support", "b2", rows(0, 3, answer="Talán"))
    jobs = await second.run_jobs()
    assert [(job.state, job.attempt) for job in jobs] == [("done", 2), ("done", 1)]
    (_, one), (_, two) = await second.outbox()
    assert (one["dataset"]["version"], one["batches"], one["rejects"]) == (
        1, ["b1"], {"empty_prompt": 1},
    )  # fmt: skip
    assert (two["dataset"]["version"], two["batches"]) == (2, ["b2"])
    assert two["dataset"]["table"]["version"] == one["dataset"]["table"]["version"] + 1
    assert second.table("rejects", "support").filter(dataset_version=1).height == 1


async def test_carried_out_twice_it_is_the_same_version(bench: Any) -> None:
    from headrace_data_quality.adapters import plans

    await bench.apply("support")
    await bench.land("support", "b1", rows())
    async with bench.service.unit_of_work() as uow:
        plan = await plans.make(uow.session, "support", "records", uow.at)
    assert plan is not None
    policy = bench.service.workloads.get("support").spec.data
    curator = Curator(str(bench.root))
    assert curator.carry_out(plan, policy) == curator.carry_out(plan, policy)
    await bench.run_jobs()
    assert len(await bench.outbox()) == 1


async def test_records_before_their_manifest_are_tried_again(bench: Any) -> None:
    await bench.land("support", "b1", rows())
    (job,) = await bench.run_jobs()
    assert (job.state, job.attempt) == ("queued", 1)


async def test_over_http(bench: Any) -> None:
    await bench.apply("support")
    await bench.land("support", "b1", rows(0, 12))
    await bench.run_jobs()
    await bench.land("support", "b2", rows(12, 20))
    await bench.run_jobs()
    transport = httpx2.ASGITransport(app=bench.service.api)
    async with httpx2.AsyncClient(transport=transport, base_url="http://dq") as client:
        (newest,) = (await client.get("/datasets")).json()["data"]
        assert (newest["workload"], newest["version"]) == ("support", 2)
        listed = (await client.get("/datasets/support")).json()
        assert [v["version"] for v in listed["data"]] == [2, 1]
        assert listed["waiting"] == []
        version = (await client.get("/datasets/support/versions/2")).json()
        assert version["profile"]["rows"] == 20
        assert version["profile"]["languages"] == {"hu": 20}
        assert "Budapest" not in str(version)
        diff = (await client.get("/datasets/support/diff", params={"old": 1, "new": 2})).json()
        assert diff["rows"] == {
            "added": 8, "removed": 0, "changed_completion": 0, "changed_split": 0,
            "unchanged": 12,
        }  # fmt: skip
        for path in ("/datasets/nobody", "/datasets/support/versions/9",
                     "/datasets/support/diff?old=1&new=9"):  # fmt: skip
            assert (await client.get(path)).status_code == 404
        for number in (0, -1, 2**31, 2**63, 2**64, 10**4000):
            for path in (
                f"versions/{number}",
                f"diff?old={number}&new=1",
                f"diff?old=1&new={number}",
            ):
                found = await client.get(f"/datasets/support/{path}")
                assert found.status_code in (400, 404), (path, found.text)
                assert len(found.text) < 1000

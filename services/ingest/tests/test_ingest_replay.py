"""Ingest's state made again from the log is what it was; rows and bytes stay where they are."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx2

from headrace_events import Event
from headrace_events.inference import FeedbackGiven, InferenceRejected
from headrace_events.workload import Manifest, WorkloadApplied
from headrace_ingest.adapters.capture_flush import CaptureFlush
from headrace_ingest.adapters.tables import Base
from headrace_ingest.app import build
from headrace_ingest.settings import Settings
from headrace_kit import Service
from headrace_kit.testing_replay import Dump, Life, rows_in

NAME = "support"


def make(url: str, storage: Path) -> Service:
    return build(
        Settings(
            database={"url": url},
            storage={"root": str(storage)},
            capture={"flush_rows": 3, "flush_seconds": 3600, "judge_seconds": 0},
        )
    )


def told(found: Dump) -> Dump:
    """A flush has an id of its own that no event tells: it is there or it is not."""
    for row in found["captures"]:
        row["flush_id"] = row["flush_id"] is not None
    return found


async def test_replay_makes_the_same_ingest(
    database_url: str, tmp_path: Path, outcome: Callable[..., Event[Any]]
) -> None:
    storage, source = tmp_path / "storage", tmp_path / "questions.csv"
    source.write_text("prompt,completion\nWhere is it?,Here.\nWhat is it?,A table.\n")
    life = Life(make(database_url, storage), Base.metadata)
    await life.service.database.create()

    async def applied(revision: int) -> None:
        paths = (source, tmp_path / "missing.csv")
        manifest = Manifest.model_validate(
            {
                "apiVersion": "headrace/v1",
                "kind": "Workload",
                "metadata": {"name": NAME, "owner": f"team-{revision}"},
                "spec": {
                    "data": {
                        "feedback_batch": 2,
                        "sources": [{"type": "file", "path": str(path)} for path in paths],
                    }
                },
            }
        )
        event = WorkloadApplied(revision=manifest.revision(), manifest=manifest)
        await life.give(event, source="stack", workload=NAME)
        await life.work()

    async def rated(number: int, rating: int, correction: str | None = None) -> None:
        data = FeedbackGiven.model_validate(
            {"request_id": f"r{number}", "rating": rating, "correction": correction}
        )
        await life.give(data, source="product", workload=NAME)
        await life.work()

    await applied(1)
    await applied(2)  # the same rows again: unchanged
    flush = CaptureFlush(life.service, life.service.settings.capture)
    for number in range(4):
        await life.give_event(outcome(number, NAME))
    refused = InferenceRejected(request_id="r8", reason="guardrail", detail="x", stage="input")
    await life.give(refused, source="guardrails", workload=NAME)
    await rated(0, 1)
    await rated(1, -1, "It is over there.")  # two of them: a batch
    await rated(9, 1)  # its request comes later
    await life.give_event(outcome(9, NAME))
    await rated(0, -1, "Changed my mind.")  # with r9: another batch
    await rated(2, -1)
    await flush.tick()
    await life.give_event(outcome(10, NAME))  # after the flush: its text waits here

    transport = httpx2.ASGITransport(app=life.service.api)
    async with httpx2.AsyncClient(transport=transport, base_url="http://ingest") as http:
        for name, form in (("a.csv", {"workload": NAME}), ("b.csv", {}), ("c.csv", {})):
            made = await http.post(
                "/v1/files",
                data={"purpose": "fine-tune", **form},
                files={"file": (name, b"prompt,completion\nWho?,Me.\n")},
            )
            assert made.status_code == 200, made.text
            await life.publish()
        await life.work()
        assert (await http.delete(f"/v1/files/{made.json()['id']}")).status_code == 200
    await life.publish()

    before = told(await life.dump())
    assert {row["state"] for row in before["sources"]} == {"unchanged", "rejected"}
    assert {row["state"] for row in before["files"]} == {"processed"}
    assert len(before["batches"]) == 4 and len(before["files"]) == 2
    assert {row["batch_id"] is None for row in before["feedback"]} == {True, False}
    assert {row["record"] is None for row in before["captures"]} == {True, False}
    assert min(rows_in(before, "kit_jobs", "kit_inbox", "kit_workloads")) > 0
    published = len(life.log)
    # What the file says now does not matter: the log says what was read then.
    source.write_text("prompt,completion\nSomething,else.\n")

    found, report, fresh = await life.replayed(
        lambda: make(f"sqlite+aiosqlite:///{tmp_path}/r.db", storage)
    )
    after = told(found)
    assert after == before
    assert (report.failed, report.unpublished, report.open_jobs) == ([], 0, 0)
    rest = Life(fresh, Base.metadata)
    await rest.publish()
    await rest.work()
    assert rest.log == [] and len(life.log) == published, "a replay publishes nothing"
    await fresh.database.close()
    await life.service.database.close()

"""`GET /workloads`: what a workload does, the same after a restart and in the console."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest

from headrace_events import Event
from headrace_events.data import DatasetRejected, RecordsLanded
from headrace_events.monitoring import AlertRaised
from headrace_events.references import TableRef
from headrace_events.workload import Manifest, WorkloadApplied
from headrace_kit import Service
from headrace_monitor.adapters import alerts, audit
from headrace_monitor.app import build
from headrace_monitor.core.entries import entry
from headrace_monitor.settings import Settings

NOW = datetime.now(UTC)
TABLE = TableRef(uri="file:///t", version=1)


def manifest(name: str) -> Manifest:
    return Manifest.model_validate(
        {"apiVersion": "headrace/v1", "kind": "Workload", "metadata": {"name": name},
         "spec": {"system": "Be kind.", "data": {"sources": [{"type": "python_docs"}]}}}
    )  # fmt: skip


def told(name: str) -> list[Event[Any]]:
    """A dataset that is too small."""
    given = manifest(name)
    facts = [
        WorkloadApplied(revision=given.revision(), manifest=given),
        RecordsLanded(batch_id=f"b-{name}", table=TABLE, rows=20, source="python_docs"),
        DatasetRejected(batches=(f"b-{name}",), reason="20 rows are left, min_rows 50"),
    ]
    events = [Event[Any].new(data, source="test", workload=name) for data in facts]
    return [e.model_copy(update={"time": NOW + timedelta(seconds=n)}) for n, e in enumerate(events)]


async def started(folder: Path) -> Service:
    """A monitor on a database, without Kafka, that has read what is stored."""
    url = f"sqlite+aiosqlite:///{folder / 'monitor.db'}"
    service = build(Settings.model_validate({"database": {"url": url}}))
    await service.database.create()
    await service.workloads.load(service.database)
    return service


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    """A monitor that has taken in two workloads, then another process on its database."""
    first = await started(tmp_path)
    async with first.unit_of_work() as uow:
        for event in [*told("docs"), *told("tickets")]:
            if isinstance(event.data, WorkloadApplied):
                await first.workloads.apply(event, uow)
            audit.append(uow.session, entry(event, "t" * 32))
        bad = AlertRaised(
            name="slo/error_rate", severity="critical", summary="bad", next_step="look there"
        )
        await alerts.put_raised(uow.session, "docs", bad, NOW)
    async with first.unit_of_work() as uow:
        await audit.seal(uow.session)
    await first.database.close()
    second = await started(tmp_path)
    for hook in second._start_hooks:
        await hook()
    yield second
    for hook in second._stop_hooks:
        await hook()
    await second.database.close()


@pytest.fixture
async def http(service: Service) -> AsyncIterator[httpx2.AsyncClient]:
    """Speak to it."""
    transport = httpx2.ASGITransport(app=service.api)
    async with httpx2.AsyncClient(transport=transport, base_url="http://monitor") as client:
        yield client


async def test_one_workload_says_why_it_waits_and_what_to_do(http: httpx2.AsyncClient) -> None:
    found = (await http.get("/workloads/docs")).json()
    assert found["stage"] == "refused"
    assert found["sentence"] == "Records refused: 20 rows are left, min_rows 50"
    assert "GET /datasets/docs" in found["step"]
    assert datetime.fromisoformat(found["since"]) == NOW + timedelta(seconds=2)
    assert found["revision"] == manifest("docs").revision()
    assert found["production"] == {"version": "base", "since": None}
    assert [one["event"] for one in found["decisions"]] == ["dataset.rejected"]
    texts = [one["text"] for one in found["problems"]]
    assert texts == [
        "records refused: 20 rows are left, min_rows 50", "alert slo/error_rate: bad"
    ]  # fmt: skip
    assert found["problems"][1]["step"] == "look there"
    assert found["links"]["console"] == "/#docs"
    assert list(found["reached"]) == ["landed"]


async def test_the_console_says_the_same_sentence(http: httpx2.AsyncClient) -> None:
    state = (await http.get("/console/state")).json()
    shown = {one["name"]: one["now"]["sentence"] for one in state["workloads"]}
    listed = (await http.get("/workloads")).json()["data"]
    assert shown == {one["name"]: one["sentence"] for one in listed}
    assert list(shown) == ["docs", "tickets"]


async def test_the_list_comes_in_pages(http: httpx2.AsyncClient) -> None:
    first = (await http.get("/workloads", params={"limit": 1})).json()
    assert [one["name"] for one in first["data"]] == ["docs"]
    second = (await http.get("/workloads", params={"cursor": first["next"]})).json()
    assert [one["name"] for one in second["data"]] == ["tickets"]
    assert second["next"] is None
    assert (await http.get("/workloads", params={"cursor": "forged"})).status_code == 400


async def test_the_manifest_that_holds_is_there_whole(http: httpx2.AsyncClient) -> None:
    found = (await http.get("/workloads/docs/manifest")).json()
    assert Manifest.model_validate(found["manifest"]) == manifest("docs")
    assert found["revision"] == manifest("docs").revision()


@pytest.mark.parametrize("path", ["/workloads/none", "/workloads/none/manifest"])
async def test_an_unknown_name_is_404(http: httpx2.AsyncClient, path: str) -> None:
    answer = await http.get(path)
    assert answer.status_code == 404
    assert "error" in answer.json()

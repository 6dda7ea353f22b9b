"""HTTP of what people decide: answers, refusals, events with reasons; and versions side by side."""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx2
import pytest

from headrace_events.evaluation import MetricResult
from headrace_events.models import ModelPromoted
from headrace_events.rollout import RollbackRequested
from headrace_kit import Service
from headrace_kit.testing_replay import Life
from headrace_registry import api_actions
from headrace_registry.adapters import versions
from headrace_registry.adapters.tables import Base, VersionRow
from headrace_registry.app import build
from headrace_registry.core.versions import State, Version
from headrace_registry.settings import Settings

AT = datetime(2026, 11, 26, 9, tzinfo=UTC)
Trained = Any


class Desk:
    """The service, its log, and an HTTP client."""

    def __init__(self, life: Life, http: httpx2.AsyncClient) -> None:
        self.life = life
        self.http = http

    async def put(self, *found: Version) -> None:
        async with self.life.service.unit_of_work() as uow:
            for one in found:
                row = VersionRow(
                    name=one.name,
                    version=one.version,
                    state="registered",
                    base=one.base,
                    artefact=one.artefact.model_dump(mode="json"),
                    dataset=one.dataset.model_dump(mode="json"),
                    job_id=f"job-{one.version}",
                    run_id="run",
                    training={"steps": 3, "settings": {"rank": 8 * int(one.version), "seed": 7}},
                    created_at=AT,
                    updated_at=AT,
                )
                uow.session.add(row)
            await uow.session.flush()
            await versions.save(uow.session, found, AT)

    async def ask(self, path: str, status: int = 200, **body: Any) -> Any:
        answer = await self.http.post(f"/models/docs/{path}", json=body)
        assert answer.status_code == status, answer.text
        found = answer.json()
        return found if status == 200 else found["error"]["message"]

    async def told(self) -> list[tuple[str, dict[str, Any]]]:
        await self.life.publish()
        events = [(dict(r.headers)["ce_type"].decode(), r.value) for r in self.life.log]
        return [(kind, json.loads(body)) for kind, body in events if not kind.startswith("job.")]


@pytest.fixture
async def desk(database_url: str) -> AsyncIterator[Desk]:
    service: Service = build(Settings(database={"url": database_url}))
    await service.database.create()
    transport = httpx2.ASGITransport(app=service.api)
    async with httpx2.AsyncClient(transport=transport, base_url="http://registry") as http:
        yield Desk(Life(service, Base.metadata), http)
    await service.database.close()


@pytest.fixture
async def three(desk: Desk, make: SimpleNamespace, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """1, 2 and 3 were promoted one after the other; 4 was rejected by its gate."""

    async def whole(_artefact: Any) -> None:
        """Their adapters are no files."""

    monkeypatch.setattr(api_actions, "verify", whole)
    await desk.put(
        make.version(1, State.RETIRED, replaced="base"),
        make.version(2, State.PREVIOUS, replaced="1"),
        make.version(3, State.PROMOTED, replaced="2"),
        make.version(4, State.REJECTED, reason="rouge_l: bound -0.2500, needed +0.0000"),
    )
    return desk


async def test_a_rollback_is_one_transaction_with_its_event_and_is_handled_once(
    three: Desk,
) -> None:
    done = await three.ask("rollback", reason=" complaints ", operator="anna@desk")
    assert (done["before"], done["production"], done["changed"]) == ("3", "2", True)
    assert done["states"] == {"3": "rolled_back", "2": "promoted"}
    (asked_type, asked), (kind, told) = await three.told()
    assert (asked_type, kind) == (RollbackRequested.TYPE, "model.rolled_back.v1")
    assert asked == {"reason": "complaints", "to": "2", "operator": "anna@desk"}
    assert (told["model"]["version"], told["restored"]["version"]) == ("3", "2")
    assert told["reason"] == "complaints"
    shown = (await three.http.get("/models/docs")).json()
    assert (shown["production"], shown["aliases"]) == ("2", {"production": "2"})
    history = (await three.http.get("/models/docs/versions/3")).json()["events"]
    assert [(e["type"], e["note"]) for e in history] == [
        ("rollback.requested.v1", "anna@desk: complaints"),
        ("model.rolled_back.v1", "complaints"),
    ]


async def test_repeats_change_nothing_and_tell_nothing(three: Desk) -> None:
    await three.ask("rollback", reason="complaints", to="1")
    before = len(await three.told())
    for path, body in (
        ("rollback", {"to": "1"}),
        ("versions/1/promote", {}),
    ):
        done = await three.ask(path, reason="again", **body)
        assert (done["changed"], done["event_id"], done["production"]) == (False, None, "1")
    await three.ask("versions/2/retire", reason="bad rows")
    assert not (await three.ask("versions/2/retire", reason="again"))["changed"]
    assert len(await three.told()) == before + 2


async def test_two_at_once_go_one_step_back(three: Desk) -> None:
    bodies = [{"reason": f"seen by {who}"} for who in ("anna", "bela")]
    answers = await asyncio.gather(
        *(three.http.post("/models/docs/rollback", json=body) for body in bodies)
    )
    assert sorted(answer.status_code for answer in answers) == [200, 409]
    (late,) = [answer for answer in answers if answer.status_code == 409]
    assert "was rolled back" in late.json()["error"]["message"]
    assert "name it: 1" in late.json()["error"]["message"]
    assert (await three.http.get("/models/docs")).json()["production"] == "2"


async def test_a_rolled_back_version_is_promoted_again_with_its_reason(three: Desk) -> None:
    await three.ask("rollback", reason="complaints", to="base")
    done = await three.ask("versions/3/promote", reason="it was the disk")
    assert (done["before"], done["production"]) == ("base", "3")
    kind, told = (await three.told())[-1]
    assert kind == ModelPromoted.TYPE
    assert (told["reason"], told["previous"]["version"]) == ("it was the disk", "base")


async def test_what_cannot_be_is_refused_with_a_sentence_and_leaves_nothing(three: Desk) -> None:
    refused = {
        "versions/4/promote": "rouge_l: bound -0.2500",
        "versions/3/retire": "is in production",
        "versions/4/retire": "was rejected before",
    }
    for path, words in refused.items():
        assert words in await three.ask(path, 409, reason="because")
    assert "never was in production" in await three.ask("rollback", 409, reason="x", to="4")
    assert "not registered" in await three.ask("rollback", 409, reason="x", to="17")
    assert "GET /models/docs" in await three.ask("versions/17/promote", 404, reason="x")
    for body in ({}, {"reason": "  "}, {"reason": "a\0b"}, {"reason": "x", "force": True}):
        await three.ask("versions/1/promote", 400, **body)
    answer = await three.http.post("/models/nobody/rollback", json={"reason": "x"})
    assert answer.status_code == 404
    assert await three.told() == []


async def test_a_version_whose_adapter_is_gone_gets_no_traffic(
    desk: Desk, make: SimpleNamespace, trained: Trained
) -> None:
    there = trained("job-1").artefact
    await desk.put(
        make.version(1, State.RETIRED, replaced="base", artefact=there),
        make.version(2, State.PREVIOUS, replaced="1"),
        make.version(3, State.PROMOTED, replaced="2"),
    )
    for path, body in (("rollback", {}), ("versions/2/promote", {})):
        said = await desk.ask(path, 409, reason="complaints", **body)
        assert "version 2 cannot be loaded any more: no artefact at" in said
    assert await desk.told() == []
    assert (await desk.ask("rollback", reason="complaints", to="1"))["production"] == "1"


async def test_two_versions_side_by_side(desk: Desk, make: SimpleNamespace) -> None:
    def metric(candidate: float, incumbent: float) -> MetricResult:
        return MetricResult(
            metric="rouge_l",
            candidate=candidate,
            incumbent=incumbent,
            difference=candidate - incumbent,
            low=candidate - incumbent - 0.1,
            high=candidate - incumbent + 0.1,
            confidence=0.95,
            rows=100,
        )

    one, two = make.version(1), make.version(2, dataset=make.dataset(2))
    first = make.evaluated(one, metrics=(metric(0.4, 0.1),))
    second = make.evaluated(two, one.ref, metrics=(metric(0.75, 0.5),))
    await desk.put(
        make.version(1, evaluation=first),
        make.version(2, dataset=make.dataset(2), evaluation=second),
        make.version(3),
    )

    async def diff(old: str, new: str) -> Any:
        answer = await desk.http.get("/models/docs/diff", params={"old": old, "new": new})
        assert answer.status_code == 200, answer.text
        return answer.json()

    found = await diff("1", "2")
    (score,) = found["scores"]
    assert (score["old"], score["new"], score["paired"]) == (0.5, 0.75, True)
    assert (score["low"], score["high"]) == (pytest.approx(0.15), pytest.approx(0.35))
    assert [(d["name"], d["old"], d["new"]) for d in found["settings"] if not d["same"]] == [
        ("rank", 8, 16)
    ]
    assert {d["name"] for d in found["facts"] if not d["same"]} == {"dataset"}
    (turned,) = (await diff("2", "1"))["scores"]
    assert (turned["old"], turned["new"], turned["difference"]) == (0.75, 0.5, -0.25)
    assert (turned["low"], turned["high"]) == (pytest.approx(-0.35), pytest.approx(-0.15))
    (based,) = (await diff("base", "1"))["scores"]
    assert (based["old"], based["new"], based["paired"]) == (0.1, 0.4, True)
    none = await diff("1", "3")
    assert none["scores"][0]["paired"] is False
    assert "3 has none" in none["note"]
    for path in ("/models/docs/diff?old=1&new=9", "/models/nobody/diff?old=base&new=base"):
        assert (await desk.http.get(path)).status_code == 404


async def test_an_older_database_gets_the_new_column(tmp_path: Path, make: SimpleNamespace) -> None:
    from sqlalchemy import text

    url = f"sqlite+aiosqlite:///{tmp_path}/old.db"
    service = build(Settings(database={"url": url}))
    await service.database.create()
    async with service.database.transaction() as session:
        await session.execute(text("ALTER TABLE model_versions DROP COLUMN withdrawn"))
    await service.database.close()
    service = build(Settings(database={"url": url}))
    await service.database.create()
    await Desk(Life(service, Base.metadata), None).put(  # type: ignore[arg-type]
        make.version(1, State.PREVIOUS, replaced="base")
    )
    async with service.unit_of_work() as uow:
        line = await versions.load(uow.session, "docs")
    assert [one.withdrawn for one in line.versions] == [False]
    await service.database.close()

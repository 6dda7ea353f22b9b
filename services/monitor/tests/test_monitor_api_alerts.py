"""`/alerts`: a list in pages, and what people say of an alert, as events with reasons."""

import itertools
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest

from headrace_events.monitoring import AlertRaised, AlertResolved
from headrace_kit.testing_replay import Life
from headrace_monitor.adapters import alerts
from headrace_monitor.adapters.tables import Base
from headrace_monitor.api_alerts import id_of
from headrace_monitor.app import build
from headrace_monitor.settings import Settings


class Door:
    """The HTTP side of a monitor on a log in memory."""

    def __init__(self, life: Life) -> None:
        self.life = life
        transport = httpx2.ASGITransport(app=life.service.api)
        self.http = httpx2.AsyncClient(transport=transport, base_url="http://monitor")

    async def raised(self, name: str, workload: str = "docs", severity: Any = "warning") -> str:
        alert = AlertRaised(name=name, severity=severity, summary="why", next_step="Do this.")
        await self.life.give(alert, workload=workload)
        return id_of(workload, name)

    async def resolved(self, name: str, workload: str = "docs") -> None:
        await self.life.give(AlertResolved(name=name, reason="mended"), workload=workload)

    async def names(self, **query: Any) -> list[str]:
        answer = await self.http.get("/alerts", params=query)
        assert answer.status_code == 200, answer.text
        return [one["name"] for one in answer.json()["data"]]

    async def post(self, path: str, body: dict[str, Any], status: int = 200) -> Any:
        answer = await self.http.post(path, json=body)
        assert answer.status_code == status, answer.text
        await self.life.publish()
        return answer.json()

    def told(self, type_: str) -> int:
        return sum(dict(r.headers)["ce_type"] == type_.encode() for r in self.life.log)


@pytest.fixture
async def door(tmp_path: Path) -> AsyncIterator[Door]:
    url = f"sqlite+aiosqlite:///{tmp_path}/m.db"
    life = Life(build(Settings.model_validate({"database": {"url": url}})), Base.metadata)
    await life.service.database.create()
    yield Door(life)
    await life.service.database.close()


async def test_the_list_is_filtered(door: Door) -> None:
    await door.raised("a")
    await door.raised("b", severity="critical")
    await door.raised("c", workload="other")
    await door.resolved("b")
    assert await door.names() == ["c", "b", "a"]
    assert await door.names(open=True) == ["c", "a"]
    assert await door.names(open=False) == ["b"]
    assert await door.names(workload="other") == ["c"]
    assert await door.names(severity="critical") == ["b"]
    later = (datetime.now(UTC) + timedelta(seconds=5)).isoformat()
    assert await door.names(since=later) == ["c", "a"], "those are open still"


async def test_the_list_comes_in_pages(door: Door) -> None:
    for n in range(5):
        await door.raised(f"a{n}")
    seen: list[str] = []
    cursor = None
    while True:
        query = {"limit": 2} | ({"cursor": cursor} if cursor else {})
        page = (await door.http.get("/alerts", params=query)).json()
        seen += [one["name"] for one in page["data"]]
        if not (cursor := page["next"]):
            break
    assert seen == ["a4", "a3", "a2", "a1", "a0"]
    for forged in ("x", "W10", "WzFd"):
        assert (await door.http.get("/alerts", params={"cursor": forged})).status_code == 400


async def test_an_acknowledgement_is_an_event_and_lasts_as_long_as_the_opening(door: Door) -> None:
    found = await door.raised("a")
    said = await door.post(f"/alerts/{found[:5]}/ack", {"reason": "on it"})
    assert (said["id"], said["state"], said["acknowledged_reason"]) == (
        found, "acknowledged", "on it",
    )  # fmt: skip
    assert door.told("alert.acknowledged.v1") == 1
    assert await door.names(open=True) == ["a"]
    await door.resolved("a")
    await door.post(f"/alerts/{found}/ack", {"reason": "too late"}, status=409)
    await door.raised("a")
    (one,) = (await door.http.get("/alerts")).json()["data"]
    assert (one["state"], one["acknowledged_at"]) == ("open", None)


async def test_a_silenced_alert_is_not_counted_and_its_silence_ends_by_itself(door: Door) -> None:
    found = await door.raised("a")
    await door.raised("b")

    async def counted() -> int:
        async with door.life.service.reading() as session:
            return (await alerts.open_counts(session)).get(("docs", "warning"), 0)

    assert await counted() == 2
    said = await door.post(f"/alerts/{found}/silence", {"reason": "known", "for": 1})
    assert said["state"] == "silenced" and door.told("alert.silenced.v1") == 1
    assert await counted() == 1
    await door.resolved("a")
    await door.raised("a")
    assert await counted() == 1, "also when it is raised anew"
    until = datetime.fromisoformat(said["silenced_until"])
    while datetime.now(UTC) <= until:
        await door.http.get("/alerts")
    assert await counted() == 2
    (one,) = [a for a in (await door.http.get("/alerts")).json()["data"] if a["name"] == "a"]
    assert (one["state"], one["silenced_until"]) == ("open", None)


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/alerts/0000/ack", {"reason": "x"}, 404),
        ("/alerts/nonsense/ack", {"reason": "x"}, 400),
        ("/alerts/{id}/ack", {}, 400),
        ("/alerts/{id}/ack", {"reason": "  "}, 400),
        ("/alerts/{id}/ack", {"reason": "x\x00"}, 400),
        ("/alerts/{id}/ack", {"reason": "x", "more": 1}, 400),
        ("/alerts/{id}/silence", {"reason": "x"}, 400),
        ("/alerts/{id}/silence", {"reason": "x", "for": 0}, 400),
        ("/alerts/{id}/silence", {"reason": "x", "for": 2**70}, 400),
        ("/alerts/{id}/silence", {"reason": "x", "until": "2001-01-01T00:00:00Z"}, 400),
        ("/alerts/{id}/silence", {"reason": "x", "until": "2901-01-01T00:00:00Z"}, 400),
        ("/alerts/{id}/silence", {"reason": "x", "until": "2901-01-01T00:00:00"}, 400),
        ("/alerts/{id}/silence", {"reason": "x", "for": 5, "until": "2901-01-01T00:00:00Z"}, 400),
    ],
)
async def test_a_wrong_request_says_why(
    door: Door, path: str, body: dict[str, Any], status: int
) -> None:
    found = await door.raised("a")
    before = len(door.life.log)
    answer = await door.post(path.replace("{id}", found), body, status)
    assert answer["error"]["message"] and len(door.life.log) == before


async def test_a_start_that_several_ids_have_is_refused_with_them(door: Door) -> None:
    ids = sorted([await door.raised(f"a{n}") for n in range(40)])
    one, two = next((a, b) for a, b in itertools.pairwise(ids) if a[:2] == b[:2])
    answer = await door.post(f"/alerts/{one[:2]}/ack", {"reason": "x"}, 400)
    assert one in answer["error"]["message"] and two in answer["error"]["message"]


async def test_a_replay_knows_what_people_said(door: Door, tmp_path: Path) -> None:
    found = await door.raised("a")
    await door.post(f"/alerts/{found}/ack", {"reason": "on it"})
    await door.post(f"/alerts/{found}/silence", {"reason": "known", "for": 3600})
    before = await door.life.dump()
    after, report, fresh = await door.life.replayed(
        lambda: build(Settings(database={"url": f"sqlite+aiosqlite:///{tmp_path}/r.db"}))
    )
    assert after["alerts"] == before["alerts"] and before["alerts"][0]["silenced_until"]
    assert report.failed == []
    await fresh.database.close()

"""Alerts end when the cause is gone, and not because nothing is heard any more."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from headrace_events.monitoring import AlertRaised
from headrace_events.workload import Manifest
from headrace_kit import Service
from headrace_monitor.adapters import alerts
from headrace_monitor.adapters.probes import ServiceState
from headrace_monitor.adapters.tables import AlertRow, Base
from headrace_monitor.core.loop import Model
from headrace_monitor.core.outcomes import UNROUTED, Kind, Outcome
from headrace_monitor.core.windows import WindowBoard
from headrace_monitor.settings import Settings
from headrace_monitor.watches.expiry import AlertExpiry
from headrace_monitor.watches.objectives import SloWatch

MANIFEST = Manifest.model_validate(
    {
        "apiVersion": "headrace/v1",
        "kind": "Workload",
        "metadata": {"name": "docs", "owner": "team-docs"},
        "spec": {"monitor": {"slo": {"p95_ms": 1000, "error_rate": 0.05}}},
    }
)


@pytest.fixture
async def service(tmp_path: Path) -> AsyncIterator[Service]:
    made = Service(
        "monitor",
        Settings.model_validate({"database": {"url": f"sqlite+aiosqlite:///{tmp_path}/m.db"}}),
        tables=Base.metadata,
    )
    await made.database.create()
    yield made
    await made.database.close()


class Scene:
    """A board with traffic, one open alert, and a watch that looks at them."""

    def __init__(self, service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = datetime.now(UTC)
        self.service = service
        self.board = WindowBoard()
        self.states: dict[str, ServiceState] = {}
        self.watch = SloWatch(service, self.board, 120, lambda: self.states)
        self.watch.watching_since = self.now - timedelta(hours=2)
        monkeypatch.setattr(service.workloads, "get", lambda _: MANIFEST)

    def asked(
        self, version: str, requests: int, ago: float, kind: Kind = "ok", ms: float = 100.0
    ) -> None:
        at = self.now - timedelta(seconds=ago)
        latency = ms if kind == "ok" else None
        for n in range(requests):
            self.board.add(Outcome(f"{n}", "docs", version, "production", kind, latency, at))

    async def raised(self, name: str, ago: float, workload: str = "docs") -> None:
        async with self.service.unit_of_work() as uow:
            at = self.now - timedelta(seconds=ago)
            alert = AlertRaised(name=name, severity="critical", summary="why")
            await alerts.put_raised(uow.session, workload, alert, at)

    def answering(self, serving: Any = "up", guardrails: Any = "up") -> None:
        for name, state in (("serving", serving), ("guardrails", guardrails)):
            self.states[name] = ServiceState(name, state, "", self.now)

    async def row(self, name: str) -> AlertRow:
        async with self.service.reading() as session:
            found = await session.get(AlertRow, ("docs", name))
        assert found
        return found

    async def open(self) -> list[str]:
        async with self.service.unit_of_work() as uow:
            return sorted(row.name for row in await alerts.open_names(uow.session, ""))


@pytest.fixture
def scene(service: Service, monkeypatch: pytest.MonkeyPatch) -> Scene:
    return Scene(service, monkeypatch)


async def test_an_outage_does_not_end_its_own_alert(scene: Scene) -> None:
    scene.asked("1", 100, ago=900, kind="error")
    await scene.raised("slo/error_rate/1", ago=880)
    await scene.watch.tick()
    assert await scene.open() == ["slo/error_rate/1"]


async def test_an_outage_with_its_services_away_stays_critical(scene: Scene) -> None:
    scene.asked("1", 100, ago=900, kind="error")
    await scene.raised("slo/error_rate/1", ago=880)
    for serving in ("down", "not ready"):
        scene.answering(serving=serving)
        await scene.watch.tick()
        assert (await scene.row("slo/error_rate/1")).severity == "critical"
        assert await scene.open() == ["slo/error_rate/1"]


async def test_a_workload_that_nobody_asks_is_no_longer_critical(scene: Scene) -> None:
    # It stayed critical for ever, with the last figures that there had been.
    name = "slo/error_rate/1"
    scene.answering()
    scene.asked("1", 100, ago=200, kind="error")
    await scene.raised(name, ago=180)
    await scene.watch.tick()
    row = await scene.row(name)
    assert (row.severity, row.resolved_at) == ("warning", None)
    assert row.summary.startswith("nobody asks now, so it cannot be told")
    before = row.summary
    await scene.watch.tick()
    assert (await scene.row(name)).summary == before, "said once"


async def test_it_ends_when_nobody_has_asked_for_ten_minutes(scene: Scene) -> None:
    scene.answering()
    scene.asked("1", 100, ago=700, kind="error")
    await scene.raised("slo/error_rate/1", ago=690)
    await scene.watch.tick()
    assert await scene.open() == []
    assert "nobody has asked" in ((await scene.row("slo/error_rate/1")).resolved_reason or "")


async def test_it_is_critical_again_when_requests_fail_again(scene: Scene) -> None:
    name = "slo/error_rate/1"
    scene.answering()
    scene.asked("1", 100, ago=200, kind="error")
    await scene.raised(name, ago=180)
    await scene.watch.tick()
    scene.asked("1", 3, ago=1, kind="error")  # too few for a reading, but somebody asks
    await scene.watch.tick()
    row = await scene.row(name)
    assert (row.severity, row.summary) == ("critical", "why")


async def test_a_monitor_that_has_just_started_cannot_say_that_nobody_asks(scene: Scene) -> None:
    scene.answering()
    scene.watch.watching_since = scene.now - timedelta(seconds=60)
    scene.asked("1", 100, ago=900, kind="error")
    await scene.raised("slo/error_rate/1", ago=880)
    await scene.watch.tick()
    assert (await scene.row("slo/error_rate/1")).severity == "critical"


async def test_requests_that_reach_no_version_are_no_sign_of_health(scene: Scene) -> None:
    scene.asked("1", 100, ago=900, kind="error")
    scene.asked(UNROUTED, 19, ago=60, kind="unavailable")
    scene.asked(UNROUTED, 5, ago=60, kind="blocked")
    scene.asked("2", 10, ago=60, kind="error")
    await scene.raised("slo/error_rate/1", ago=880)
    await scene.watch.tick()
    assert "slo/error_rate/1" in await scene.open()


async def test_it_ends_when_another_version_answers_in_its_place(scene: Scene) -> None:
    scene.asked("1", 100, ago=900, kind="error")
    scene.asked("2", 5, ago=30)
    await scene.raised("slo/error_rate/1", ago=880)
    await scene.raised(f"slo/error_rate/{UNROUTED}", ago=880)
    await scene.watch.tick()
    assert await scene.open() == []


async def test_it_ends_when_the_version_answers_well_again(scene: Scene) -> None:
    scene.asked("1", 100, ago=30)
    await scene.raised("slo/error_rate/1", ago=60)
    await scene.watch.tick()
    assert await scene.open() == []


async def test_few_requests_end_it_too_if_all_since_then_were_good(scene: Scene) -> None:
    # Fewer than 20 in the window give no reading: the alert of a quiet workload stayed for ever.
    scene.asked("1", 3, ago=500)
    scene.asked("1", 2, ago=30)
    await scene.raised("slo/error_rate/1", ago=700)
    await scene.watch.tick()
    assert await scene.open() == []


@pytest.mark.parametrize(("since", "bad"), [(700, 2), (300, 0)], ids=["still bad", "too soon"])
async def test_few_requests_that_do_not_tell_leave_it_open(
    scene: Scene, since: int, bad: int
) -> None:
    scene.asked("1", bad, ago=250, kind="error")
    scene.asked("1", 5, ago=30)
    await scene.raised("slo/error_rate/1", ago=since)
    await scene.watch.tick()
    assert await scene.open() == ["slo/error_rate/1"]


class Others:
    """What the monitor knows of services and loops."""

    def __init__(self) -> None:
        self.states: dict[str, ServiceState] = {}
        self.by_name: dict[str, Any] = {}

    def says(self, name: str, state: Any, ago: float) -> None:
        self.states[name] = ServiceState(
            name, state, "", datetime.now(UTC) - timedelta(seconds=ago)
        )


async def expired(scene: Scene, others: Others) -> list[str]:
    await AlertExpiry(scene.service, lambda: others.states, lambda: others.by_name).tick()
    return await scene.open()


async def test_a_halted_consumer_is_over_when_its_service_says_so(scene: Scene) -> None:
    await scene.raised("dead-letter-limit/ingest", ago=60, workload="headrace")
    others = Others()
    name = ["dead-letter-limit/ingest"]
    assert await expired(scene, others) == name, "nobody asked the service"
    others.says("ingest", "up", ago=61)
    assert await expired(scene, others) == name, "that was before the alert"
    for state in ("down", "not ready", "unknown"):
        others.says("ingest", state, ago=0)
        assert await expired(scene, others) == name, state
    others.says("trainer", "up", ago=0)
    assert await expired(scene, others) == name, "another service"
    others.says("ingest", "up", ago=0)
    assert await expired(scene, others) == []


async def test_a_failed_registration_is_over_when_a_later_one_succeeds(scene: Scene) -> None:
    await scene.raised("registration/docs/job-3", ago=60)
    await scene.raised("registration/other/job-3", ago=60, workload="other")
    others = Others()

    def registered(ago: float) -> None:
        model = Model("1", registered_at=scene.now - timedelta(seconds=ago))
        others.by_name["docs"] = type("Loop", (), {"models": {"1": model}})

    registered(ago=90)
    assert len(await expired(scene, others)) == 2
    registered(ago=10)
    assert await expired(scene, others) == ["registration/other/job-3"]


async def test_the_gauge_counts_every_open_alert(scene: Scene) -> None:
    for n in range(120):
        await scene.raised(f"registration/docs/{n}", ago=60)
    async with scene.service.unit_of_work() as uow:
        assert await alerts.open_counts(uow.session) == {("docs", "critical"): 120}

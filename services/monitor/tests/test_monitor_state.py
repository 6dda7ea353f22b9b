"""The console's state: shared by all who ask, cheap while only the newest bucket changes."""

import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from headrace_events.monitoring import AlertRaised
from headrace_kit import Service
from headrace_monitor.adapters import alerts, drift
from headrace_monitor.adapters.probes import Probes
from headrace_monitor.adapters.tables import Base, TripRow
from headrace_monitor.console import state as module
from headrace_monitor.console.feed import Feed
from headrace_monitor.console.state import ConsoleState
from headrace_monitor.core.windows import SeriesKey
from headrace_monitor.live import Live
from headrace_monitor.settings import Settings
from headrace_monitor.watches.canaries import CanaryWatch
from headrace_monitor.watches.ledger import Ledger
from headrace_monitor.watches.traffic import Traffic

NOW = datetime.now(UTC)
SERIES = [SeriesKey(f"w{n // 10}", f"v{n % 10}", "production") for n in range(199)]


class Scene:
    def __init__(self, service: Service, settings: Settings) -> None:
        self.live = Live(lambda: False)
        self.traffic = Traffic(service)
        self.state = ConsoleState(
            service,
            settings.monitor,
            ledger=Ledger(service, self.live),
            traffic=self.traffic,
            canaries=CanaryWatch(service),
            probes=Probes({}),
        )
        self.feed = Feed(self.state, self.traffic, self.live)


@pytest.fixture
async def service(database_url: str) -> AsyncIterator[Service]:
    settings = Settings.model_validate({"database": {"url": database_url}})
    made = Service("monitor", settings, tables=Base.metadata)
    await made.database.create()
    yield made
    await made.database.close()


@pytest.fixture
def scene(service: Service) -> Scene:
    return Scene(service, Settings())


async def test_a_state_is_made_once_for_all_who_ask(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_FRESH_SECONDS", 3600.0)
    scene.traffic.board.count(SERIES[0], "ok", 1.0, NOW)
    first = await scene.state.build()
    assert "events" in first
    again = await scene.state.build(events=False)
    assert "events" not in again
    assert again["workloads"] is first["workloads"]
    monkeypatch.setattr(module, "_FRESH_SECONDS", -1.0)
    assert (await scene.state.build())["workloads"] is not first["workloads"]


async def test_a_second_of_traffic_in_199_series_costs_little(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_FRESH_SECONDS", -1.0)
    for name in {key.workload for key in SERIES}:
        scene.state._ledger.loops.by_name[name] = module.WorkloadLoop(name)
    for seconds in range(900, 0, -10):
        for number, key in enumerate(SERIES):
            for n in range(4):
                at = NOW - timedelta(seconds=seconds)
                scene.traffic.board.count(key, "ok", 20.0 * (n + 1) + number, at)
    scene.live._readers.add(module.asyncio.Queue(100))
    await scene.feed.tick()
    spent = []
    for _ in range(3):
        for key in SERIES:
            scene.traffic.board.count(key, "ok", 50.0, NOW)
        begun = time.process_time()
        await scene.feed.tick()
        spent.append(time.process_time() - begun)
    # It was 0.6 s on this count of buckets, each second.
    assert min(spent) < 0.1


async def test_where_drift_stands_is_told_without_its_reference(service: Service) -> None:
    async with service.unit_of_work() as uow:
        row = await drift.watch(uow.session, "docs")
        drift.set_reference(row, [b"ab", b"cd"], 7)
        await drift.watch(uow.session, "new")
    async with service.reading() as session:
        found = await drift.standings(session)
    assert {w: (s.reference_rows, s.drifted) for w, s in found.items()} == {
        "docs": (2, False),
        "new": (0, False),
    }


async def test_a_busy_workload_hides_neither_alerts_nor_trips_of_a_quiet_one(
    service: Service, scene: Scene
) -> None:
    def trip(workload: str, number: int, ago: float) -> TripRow:
        return TripRow(
            event_id=f"{workload}-{number}",
            workload=workload,
            request_id="r",
            stage="input",
            check="pii",
            action="block",
            labels=[],
            at=NOW - timedelta(seconds=ago),
        )

    async with service.unit_of_work() as uow:
        uow.session.add_all(trip("busy", n, ago=n / 10) for n in range(200))
        uow.session.add(trip("quiet", 1, ago=600))
        for n in range(200):
            at = NOW - timedelta(seconds=n)
            failed = AlertRaised(name=f"registration/{n}", severity="critical", summary="")
            await alerts.put_raised(uow.session, "busy", failed, at)
        old = NOW - timedelta(seconds=600)
        moved = AlertRaised(name="drift/input", severity="warning", summary="")
        await alerts.put_raised(uow.session, "quiet", moved, old)
    async with service.reading() as session:
        trips = await module._trips(session)
        listed = await alerts.listed(session)
        own = await alerts.listed(session, "quiet")
    assert {w: len(t["recent"]) for w, t in trips.items()} == {"busy": 8, "quiet": 1}
    assert [row.workload for row in listed].count("busy") == 100
    assert "quiet" in {row.workload for row in listed}
    assert [row.name for row in own] == ["drift/input"]

"""Wires the monitor."""

from headrace_kit import Service
from headrace_monitor.adapters.exposition import MonitorGauges
from headrace_monitor.adapters.probes import Probes
from headrace_monitor.adapters.tables import Base
from headrace_monitor.api import console_router, figures_router
from headrace_monitor.api_alerts import alerts_router
from headrace_monitor.api_workloads import workloads_router
from headrace_monitor.console.feed import Feed
from headrace_monitor.console.state import ConsoleState
from headrace_monitor.core.patience import Patience
from headrace_monitor.events import subscribe
from headrace_monitor.live import Live
from headrace_monitor.settings import Settings
from headrace_monitor.watches.canaries import CanaryWatch
from headrace_monitor.watches.expiry import AlertExpiry
from headrace_monitor.watches.gauges import GaugeWatch
from headrace_monitor.watches.inputs import DriftWatch
from headrace_monitor.watches.ledger import Ledger
from headrace_monitor.watches.objectives import SloWatch
from headrace_monitor.watches.retention import Retention
from headrace_monitor.watches.traffic import Traffic
from headrace_monitor.watches.uptime import UptimeWatch
from headrace_monitor.watches.verification import ChainCheck

_PRUNE_SECONDS = 60.0
_SNAPSHOT_SECONDS = 60.0


def build(settings: Settings | None = None) -> Service:
    """Return the monitor, ready to run."""
    settings = settings or Settings()
    service = Service("monitor", settings, tables=Base.metadata)
    live = Live(lambda: service.stopping)
    ledger = Ledger(service, live)
    traffic = Traffic(service)
    patience = Patience(
        settings.monitor.canary_starving_seconds, settings.monitor.canary_quiet_seconds
    )
    canaries = CanaryWatch(service, patience)
    probes = Probes(settings.monitor.services)
    objectives = SloWatch(
        service, traffic.board, settings.monitor.slo_window_seconds, lambda: probes.states
    )
    state = ConsoleState(
        service,
        settings.monitor,
        ledger=ledger,
        traffic=traffic,
        canaries=canaries,
        probes=probes,
    )
    gauges = MonitorGauges()

    async def show_gauges() -> None:
        gauges.register()

    async def hide_gauges() -> None:
        gauges.unregister()

    drift = DriftWatch(service)
    subscribe(service, traffic, ledger, drift)
    service.on_replayed(drift.tick)
    service.on_replayed(ledger.tick)
    service.on_start(ledger.read)
    service.on_start(traffic.rebuild)
    service.every(0.2, ledger.tick, name="audit ledger")
    service.every(_SNAPSHOT_SECONDS, ledger.keep, name="loop snapshots")
    service.every(1.0, canaries.tick, name="canary watch")
    service.every(1.0, Feed(state, traffic, live).tick, name="console feed")
    service.every(2.0, drift.tick, name="drift watch", once=True)
    watch = GaugeWatch(service, gauges, traffic, ledger, settings.monitor)
    service.every(5.0, watch.tick, name="gauges")
    service.every(10.0, objectives.tick, name="objectives")
    expiry = AlertExpiry(service, lambda: probes.states, lambda: ledger.loops.by_name)
    service.every(5.0, expiry.tick, name="alert expiry", once=True)
    uptime = UptimeWatch(service, lambda: probes.states)
    service.every(1.0, uptime.tick, name="uptime watch", once=True)
    service.every(settings.monitor.probe_seconds, probes.poll, name="probes")
    service.every(
        _PRUNE_SECONDS, Retention(service, settings.monitor).tick, name="retention", once=True
    )
    service.on_start(show_gauges)
    check = ChainCheck(service)
    service.on_stop(ledger.keep)
    service.on_stop(check.close)
    service.on_stop(hide_gauges)
    service.on_stop(probes.close)
    service.api.include_router(console_router(service, state, live))
    service.api.include_router(alerts_router(service))
    service.api.include_router(figures_router(service, traffic.board, check))
    service.api.include_router(
        workloads_router(service, state.picture, settings.monitor.traces_url)
    )
    return service

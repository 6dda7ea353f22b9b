"""Keeps the Prometheus gauges current."""

from headrace_kit import Service
from headrace_monitor.adapters import alerts, drift
from headrace_monitor.adapters.exposition import MonitorGauges
from headrace_monitor.settings import Monitor
from headrace_monitor.watches.ledger import Ledger
from headrace_monitor.watches.traffic import Traffic


class GaugeWatch:
    """Reads what Prometheus is told, so that a scrape touches no database."""

    def __init__(
        self,
        service: Service,
        gauges: MonitorGauges,
        traffic: Traffic,
        ledger: Ledger,
        settings: Monitor,
    ) -> None:
        self._service = service
        self._gauges = gauges
        self._traffic = traffic
        self._ledger = ledger
        self._seconds = settings.window_seconds

    async def tick(self) -> None:
        """Read all gauges."""
        async with self._service.reading() as session:
            self._gauges.alerts = await alerts.open_counts(session)
            watched = await drift.standings(session)
        self._gauges.windows = self._traffic.board.windows(self._seconds)
        self._gauges.drift = {w: at.value for w, at in watched.items() if at.value is not None}
        self._gauges.weights = {
            (name, loop.rollout.candidate): loop.rollout.weight
            for name, loop in self._ledger.loops.by_name.items()
            if loop.rollout and loop.rollout.state == "running"
        }
        self._gauges.audit_entries = self._ledger.position

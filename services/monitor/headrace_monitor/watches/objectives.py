"""Holds each window against its workload's objectives."""

from datetime import UTC, datetime

from headrace_events.monitoring import AlertRaised, AlertResolved, SloBreached
from headrace_kit import Service
from headrace_monitor.adapters import alerts
from headrace_monitor.adapters.tables import AlertRow
from headrace_monitor.core import slo
from headrace_monitor.core.slo import Reading
from headrace_monitor.core.windows import WindowBoard


class SloWatch:
    """Raises and resolves the alerts of objectives; an alert is open in the database or not."""

    def __init__(self, service: Service, board: WindowBoard, window_seconds: int) -> None:
        self._service = service
        self._board = board
        self._seconds = window_seconds

    async def tick(self) -> None:
        """Hold the windows against their objectives."""
        found: list[Reading] = []
        for window in self._board.windows(self._seconds):
            if manifest := self._service.workloads.get(window.workload):
                found += slo.readings(window, manifest.spec.monitor.slo)
        worst = _worst(found)
        if worst:
            await self._apply(worst)
        await self._resolve_unread({(r.workload, r.alert) for r in worst})

    async def _apply(self, found: list[Reading]) -> None:
        async with self._service.unit_of_work() as uow:
            for reading in found:
                where = reading.workload, reading.alert
                change = slo.change(await alerts.is_raised(uow.session, *where), reading)
                if change == "breached":
                    uow.emit(
                        SloBreached(
                            objective=reading.objective,
                            value=reading.value,
                            target=reading.target,
                            model_version=reading.version,
                        ),
                        workload=reading.workload,
                    )
                    raised = AlertRaised(
                        name=reading.alert, severity="critical", summary=reading.summary
                    )
                    at = uow.emit(raised, workload=reading.workload).time
                    await alerts.put_raised(uow.session, *where, "critical", reading.summary, at)
                elif change == "kept":
                    resolved = AlertResolved(name=reading.alert)
                    at = uow.emit(resolved, workload=reading.workload).time
                    await alerts.put_resolved(uow.session, *where, at)

    async def _resolve_unread(self, read: set[tuple[str, str]]) -> None:
        """End what no window speaks of: see core for when."""
        now = datetime.now(UTC)
        async with self._service.unit_of_work() as uow:
            for row in await alerts.open_names(uow.session, slo.PREFIX):
                if (row.workload, row.name) in read or not self._over(row, now):
                    continue
                resolved = uow.emit(AlertResolved(name=row.name), workload=row.workload)
                row.resolved_at = resolved.time

    def _over(self, row: AlertRow, now: datetime) -> bool:
        version = row.name.rsplit("/", 1)[-1]
        recent = self._board.windows(slo.QUIET_SECONDS, now, row.workload)
        if slo.replaced(version, recent):
            return True
        manifest = self._service.workloads.get(row.workload)
        seconds = slo.seconds_since(row.raised_at, now)
        answered = any(w.requests > w.errors for w in recent if w.version == version)
        if manifest is None or seconds is None or not answered:
            return False
        objectives = manifest.spec.monitor.slo
        found = [
            reading
            for window in self._board.windows(seconds, now, row.workload)
            for reading in slo.readings(window, objectives, least=1)
            if reading.alert == row.name
        ]
        return any(slo.change(True, reading) == "kept" for reading in _worst(found))


def _worst(found: list[Reading]) -> list[Reading]:
    """One version may have a window per arm; its alert follows the worse one."""
    worst: dict[tuple[str, str], Reading] = {}
    for reading in found:
        key = reading.workload, reading.alert
        if key not in worst or reading.value > worst[key].value:
            worst[key] = reading
    return list(worst.values())

"""Holds each window against its workload's objectives."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Literal

from headrace_events.monitoring import AlertRaised, SloBreached
from headrace_kit import Service
from headrace_monitor.adapters import alerts
from headrace_monitor.adapters.probes import ServiceState
from headrace_monitor.adapters.tables import AlertRow
from headrace_monitor.core import slo
from headrace_monitor.core.slo import Reading
from headrace_monitor.core.windows import WindowBoard


class SloWatch:
    """Raises and resolves the alerts of objectives; an alert is open in the database or not."""

    def __init__(
        self,
        service: Service,
        board: WindowBoard,
        window_seconds: int,
        states: Callable[[], Mapping[str, ServiceState]] = dict,
    ) -> None:
        self._service = service
        self._board = board
        self._seconds = window_seconds
        self._states = states
        self.watching_since = datetime.now(UTC)

    async def tick(self) -> None:
        """Hold the windows against their objectives."""
        found: list[Reading] = []
        for window in self._board.windows(self._seconds):
            if manifest := self._service.workloads.get(window.workload):
                found += slo.readings(window, manifest.spec.monitor.slo)
        worst = _worst(found)
        if worst:
            await self._apply(worst)
        await self._look_at_unread({(r.workload, r.alert) for r in worst})

    async def _apply(self, found: list[Reading]) -> None:
        async with self._service.unit_of_work() as uow:
            for reading in found:
                where = reading.workload, reading.alert
                row = await uow.session.get(AlertRow, where)
                raised = row is not None and row.resolved_at is None
                change = slo.change(raised, reading)
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
                    await alerts.raise_in(uow, reading.workload, _breach(reading))
                elif change == "kept":
                    await alerts.end_in(uow, *where, "the objective is met again")
                elif row is not None and raised and row.summary.startswith(slo.NO_TRAFFIC):
                    # It is asked again, and nothing says that it is well.
                    await alerts.raise_in(uow, reading.workload, _breach(reading))

    async def _look_at_unread(self, read: set[tuple[str, str]]) -> None:
        """End, or call untold, what no window speaks of: see core for when."""
        now = datetime.now(UTC)
        async with self._service.unit_of_work() as uow:
            for row in await alerts.open_names(uow.session, slo.PREFIX):
                if (row.workload, row.name) in read:
                    continue
                standing = self._unasked(row.workload, now)
                if standing == "over":
                    minutes = slo.QUIET_SECONDS / 60
                    reason = f"nobody has asked for {minutes:.0f} minutes"
                    await alerts.end_in(uow, row.workload, row.name, reason)
                elif self._over(row, now):
                    reason = "requests are answered well again"
                    await alerts.end_in(uow, row.workload, row.name, reason)
                else:
                    await alerts.raise_in(uow, row.workload, _said(row, standing))

    def _unasked(self, workload: str, now: datetime) -> slo.Standing:
        return slo.unasked(
            lambda seconds: self._board.windows(seconds, now, workload),
            window_seconds=self._seconds,
            watched_seconds=(now - self.watching_since).total_seconds(),
            answering=self._answering(),
        )

    def _answering(self) -> bool | None:
        """Say whether the services that answer are ready; None where nobody asks them."""
        states = [found.state for n in slo.ANSWERING if (found := self._states().get(n))]
        if not states or "unknown" in states:
            return None
        return all(state == "up" for state in states)

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


def _breach(reading: Reading) -> AlertRaised:
    return _alert(reading.workload, reading.alert, "critical", reading.summary)


def _said(row: AlertRow, standing: slo.Standing) -> AlertRaised:
    """Return an open alert in the words that hold now."""
    summary = row.summary.removeprefix(slo.NO_TRAFFIC)
    if standing == "cannot tell":
        return _alert(row.workload, row.name, "warning", f"{slo.NO_TRAFFIC}{summary}")
    return _alert(row.workload, row.name, "critical", summary)


def _alert(
    workload: str, name: str, severity: Literal["warning", "critical"], summary: str
) -> AlertRaised:
    return AlertRaised(
        name=name, severity=severity, summary=summary, next_step=slo.next_step(workload)
    )


def _worst(found: list[Reading]) -> list[Reading]:
    """One version may have a window per arm; its alert follows the worse one."""
    worst: dict[tuple[str, str], Reading] = {}
    for reading in found:
        key = reading.workload, reading.alert
        if key not in worst or reading.value > worst[key].value:
            worst[key] = reading
    return list(worst.values())

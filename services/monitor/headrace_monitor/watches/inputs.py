"""Watches the input of each workload for drift."""

import asyncio
from dataclasses import dataclass
from datetime import datetime

import structlog
from sqlalchemy.ext.asyncio import AsyncSession

from headrace_events import Event
from headrace_events.models import ModelPromoted, ModelRolledBack
from headrace_events.monitoring import AlertRaised, AlertResolved, DriftDetected
from headrace_events.workload import Manifest
from headrace_kit import Service, UnitOfWork
from headrace_monitor.adapters import alerts, drift
from headrace_monitor.adapters.tables import DriftRow
from headrace_monitor.core import drift as core

_LOG = structlog.get_logger(__name__)
ALERT = "drift/input"


class DriftWatch:
    """Measures one window after the other, each once: where it stands is in the database."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def tick(self) -> None:
        """Measure every window that is full."""
        for manifest in self._service.workloads.all():
            while await self._measure(manifest):
                pass

    async def answers_change(
        self, event: Event[ModelPromoted] | Event[ModelRolledBack], uow: UnitOfWork
    ) -> None:
        """Another version answers from now on: its first window is the new reference."""
        workload = event.workload
        if uow.replaying and (manifest := self._service.workloads.get(workload)):
            # The timer had measured these by then.
            while window := await _next(uow.session, manifest):
                await _take(uow, manifest, window, window.measure())
        await drift.start_over(uow.session, workload)
        if await alerts.is_raised(uow.session, workload, ALERT):
            uow.emit(AlertResolved(name=ALERT), workload=workload)

    async def _measure(self, manifest: Manifest) -> bool:
        workload = manifest.metadata.name
        async with self._service.reading() as session:
            window = await _next(session, manifest)
        if window is None:
            return False
        # Outside the transaction: the arithmetic takes a moment and the hot path writes meanwhile.
        measured = await asyncio.to_thread(window.measure)
        async with self._service.unit_of_work(workload=workload) as uow:
            await _take(uow, manifest, window, measured)
        return True


@dataclass(frozen=True)
class _Window:
    """A full window, and what it is held against; no reference: it becomes one."""

    reference: list[bytes] | None
    after: int
    sketches: list[bytes]
    last: int
    ended_at: datetime
    threshold: float

    def measure(self) -> core.Measurement | None:
        """Hold the window against the reference."""
        if self.reference is None:
            return None
        return core.measure(self.reference, self.sketches, self.threshold)


async def _next(session: AsyncSession, manifest: Manifest) -> _Window | None:
    rules = manifest.spec.monitor.drift
    row = await drift.look(session, manifest.metadata.name)
    found = await drift.next_window(session, row, min(rules.window, core.LONGEST_WINDOW))
    if found is None:
        return None
    reference = None if row.reference is None else drift.reference(row)
    return _Window(reference, row.after_seq, *found, rules.threshold)


async def _take(
    uow: UnitOfWork, manifest: Manifest, window: _Window, measured: core.Measurement | None
) -> None:
    row = await drift.watch(uow.session, manifest.metadata.name)
    if row.after_seq != window.after or (row.reference is None) != (window.reference is None):
        return  # a promotion began a new reference meanwhile
    if measured is None:
        drift.set_reference(row, window.sketches, window.last)
        return
    drift.note(row, measured, window.last, window.ended_at)
    await _tell(uow, row, measured, core.change(row.drifted, measured))


async def _tell(
    uow: UnitOfWork, row: DriftRow, measured: core.Measurement, change: core.Change | None
) -> None:
    if change is None:
        return
    row.drifted = change == "drifted"
    _LOG.info("drift", workload=row.workload, change=change, value=round(measured.value, 4))
    if change == "recovered":
        uow.emit(AlertResolved(name=ALERT))
        return
    detected = DriftDetected(
        statistic="psi",
        value=measured.value,
        threshold=measured.threshold,
        reference_rows=measured.reference_rows,
        window_rows=measured.window_rows,
    )
    uow.emit(detected)
    uow.emit(
        AlertRaised(
            name=ALERT,
            severity="warning",
            summary=f"the prompts moved: PSI {measured.value:.2f} above chance, "
            f"threshold {measured.threshold:.2f}",
            next_step="Look at what people ask now. A training on newer traffic begins by itself "
            "where the workload has the source `traffic`.",
        )
    )

"""Watches the input of each workload for drift."""

import asyncio

import structlog

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

    async def _measure(self, manifest: Manifest) -> bool:
        rules, workload = manifest.spec.monitor.drift, manifest.metadata.name
        async with self._service.unit_of_work(workload=workload) as uow:
            row = await drift.watch(uow.session, workload)
            found = await drift.next_window(uow.session, row, rules.window)
            if found is None:
                return False
            window, last = found
            if row.reference is None:
                drift.set_reference(row, window, last)
                return True
            reference, before = drift.reference(row), row.after_seq
        # Outside the transaction: the arithmetic takes a moment and the hot path writes meanwhile.
        measured = await asyncio.to_thread(core.measure, reference, window, rules.threshold)
        async with self._service.unit_of_work(workload=workload) as uow:
            row = await drift.watch(uow.session, workload)
            if row.after_seq != before or row.reference is None:
                return True  # a promotion began a new reference meanwhile
            drift.note(row, measured, last)
            await _tell(uow, row, measured, core.change(row.drifted, measured))
        return True


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
        )
    )


async def reference_begins(uow: UnitOfWork, workload: str) -> None:
    """Another version answers from now on: its first window is the new reference."""
    await drift.start_over(uow.session, workload)
    if await alerts.is_raised(uow.session, workload, ALERT):
        uow.emit(AlertResolved(name=ALERT), workload=workload)

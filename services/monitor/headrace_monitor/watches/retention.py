"""Forgets what is too old or too much."""

from datetime import UTC, datetime, timedelta

from headrace_events import topics
from headrace_kit import Service
from headrace_monitor.adapters import alerts, outcomes, uptime
from headrace_monitor.core import retention
from headrace_monitor.settings import Monitor

_KEPT_ALERTS = timedelta(days=30)
_KEPT_STARTS = timedelta(days=1)
_KEPT_LETTERS = timedelta(milliseconds=topics.BY_NAME[topics.dlq("monitor")].retention_ms)


class Retention:
    """Deletes in small transactions: outcomes are written meanwhile."""

    def __init__(self, service: Service, settings: Monitor) -> None:
        self._service = service
        self._settings = settings

    async def tick(self) -> None:
        """Delete."""
        now = datetime.now(UTC)
        before = now - timedelta(hours=self._settings.keep_outcomes_hours)
        await self._forget(None, before)
        async with self._service.reading() as session:
            found = await outcomes.counts(session)
        kept = retention.limits(
            found, self._settings.keep_outcomes, self._settings.keep_outcomes_in_all
        )
        for workload, keep in kept.items():
            async with self._service.reading() as session:
                cut = await outcomes.cut(session, workload, keep)
            if cut is not None:
                await self._forget(workload, cut)
        async with self._service.unit_of_work() as uow:
            await outcomes.forget_rest(uow.session, before)
            await alerts.prune(uow.session, now - _KEPT_ALERTS)
            await uptime.forget_starts(uow.session, now - _KEPT_STARTS)
            await uptime.forget_letters(uow.session, now - _KEPT_LETTERS)

    async def _forget(self, workload: str | None, beyond: int | datetime) -> None:
        gone = 1
        while gone:
            async with self._service.unit_of_work() as uow:
                gone = await outcomes.forget(uow.session, workload, beyond)

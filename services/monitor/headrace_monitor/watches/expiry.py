"""Ends alerts that another service raised and cannot end itself; the rules are in core."""

from collections.abc import Callable, Mapping

from headrace_kit import Service
from headrace_monitor.adapters import alerts
from headrace_monitor.adapters.probes import ServiceState
from headrace_monitor.adapters.tables import AlertRow
from headrace_monitor.core import expiry
from headrace_monitor.core.loop import WorkloadLoop


class AlertExpiry:
    """Looks at the open alerts of other services, and at what became of their causes."""

    def __init__(
        self,
        service: Service,
        states: Callable[[], Mapping[str, ServiceState]],
        loops: Callable[[], Mapping[str, WorkloadLoop]],
    ) -> None:
        self._service = service
        self._states = states
        self._loops = loops

    async def tick(self) -> None:
        """Resolve what is over."""
        async with self._service.unit_of_work() as uow:
            found = await alerts.open_names(uow.session, expiry.HALTED)
            found += await alerts.open_names(uow.session, expiry.UNREGISTERED)
            for row in found:
                if self._over(row):
                    reason = (
                        "its service is ready again"
                        if row.name.startswith(expiry.HALTED)
                        else "a later version was registered"
                    )
                    await alerts.end_in(uow, row.workload, row.name, reason)

    def _over(self, row: AlertRow) -> bool:
        if row.name.startswith(expiry.HALTED):
            state = self._states().get(row.name.removeprefix(expiry.HALTED))
            return state is not None and expiry.consumes_again(
                row.raised_at, state.state, state.checked_at
            )
        loop = self._loops().get(row.workload)
        times = [m.registered_at for m in loop.models.values() if m.registered_at] if loop else []
        return expiry.registers_again(row.raised_at, max(times, default=None))

"""Raises alerts of services that do not answer; ends those, crash loops, and old dead letters."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from headrace_kit import Service
from headrace_monitor.adapters import alerts, uptime
from headrace_monitor.adapters.probes import ServiceState
from headrace_monitor.core import causes
from headrace_monitor.core import uptime as rules


class UptimeWatch:
    """Looks at what the probes say."""

    def __init__(self, service: Service, states: Callable[[], Mapping[str, ServiceState]]) -> None:
        self._service = service
        self._states = states
        self._seen_up: set[str] = set()
        """One that never answered is still being started."""
        self._down_since: dict[str, datetime] = {}

    async def tick(self) -> None:
        """Raise and end."""
        now = datetime.now(UTC)
        down = self._down(now)
        async with self._service.unit_of_work() as uow:
            for name in down:
                await alerts.raise_in(uow, alerts.PLATFORM, causes.down(name))
            for row in await alerts.open_names(uow.session, causes.DOWN, alerts.PLATFORM):
                state = self._states().get(row.name.removeprefix(causes.DOWN))
                if state is None or state.state in ("up", "not ready"):
                    await alerts.end_in(uow, alerts.PLATFORM, row.name, "it answers again")
            for row in await alerts.open_names(uow.session, causes.LOOP, alerts.PLATFORM):
                name = row.name.removeprefix(causes.LOOP)
                newest = await uptime.newest_start(uow.session, name)
                if rules.steady(newest, now, self._state(name)):
                    await alerts.end_in(uow, alerts.PLATFORM, row.name, "it runs on")
            for row in await alerts.open_names(uow.session, causes.LETTERS, alerts.PLATFORM):
                if not await uptime.letters(uow.session, row.name.removeprefix(causes.LETTERS)):
                    reason = "none of its dead letters is left"
                    await alerts.end_in(uow, alerts.PLATFORM, row.name, reason)

    def _state(self, name: str) -> str:
        state = self._states().get(name)
        return state.state if state else "unknown"

    def _down(self, now: datetime) -> list[str]:
        """Return the services that have been down for too long."""
        for name, state in self._states().items():
            if state.state != "down":
                self._down_since.pop(name, None)
                if state.state == "up":
                    self._seen_up.add(name)
            elif name in self._seen_up:
                self._down_since.setdefault(name, state.checked_at or now)
        return [n for n, since in self._down_since.items() if now - since >= rules.DOWN_AFTER]

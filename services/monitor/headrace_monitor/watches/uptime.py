"""Raises alerts of services that do not answer; ends those, crash loops, and old dead letters."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime

from sqlalchemy.ext.asyncio import AsyncSession

from headrace_kit import Service
from headrace_monitor.adapters import alerts, uptime
from headrace_monitor.adapters.probes import ServiceState
from headrace_monitor.adapters.tables import AlertRow
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
        """Raise and end; the database is written, and its lock taken, where something changes."""
        now = datetime.now(UTC)
        async with self._service.reading() as session:
            open_down = await alerts.open_names(session, causes.DOWN, alerts.PLATFORM)
            over = [*self._answering(open_down), *await self._past(session, now)]
        known = {row.name for row in open_down}
        new = [alert for name in self._down(now) if (alert := causes.down(name)).name not in known]
        if not new and not over:
            return
        async with self._service.unit_of_work() as uow:
            for alert in new:
                await alerts.raise_in(uow, alerts.PLATFORM, alert)
            for name, reason in over:
                await alerts.end_in(uow, alerts.PLATFORM, name, reason)

    def _answering(self, open_down: Iterable[AlertRow]) -> Iterator[tuple[str, str]]:
        for row in open_down:
            state = self._states().get(row.name.removeprefix(causes.DOWN))
            if state is None or state.state in ("up", "not ready"):
                yield row.name, "it answers again"

    async def _past(self, session: AsyncSession, now: datetime) -> list[tuple[str, str]]:
        """Return what is over of crash loops and dead letters, and why."""
        found = []
        for row in await alerts.open_names(session, causes.LOOP, alerts.PLATFORM):
            name = row.name.removeprefix(causes.LOOP)
            newest = await uptime.newest_start(session, name)
            if rules.steady(newest, now, self._state(name)):
                found.append((row.name, "it runs on"))
        found += [
            (row.name, "none of its dead letters is left")
            for row in await alerts.open_names(session, causes.LETTERS, alerts.PLATFORM)
            if not await uptime.letters(session, row.name.removeprefix(causes.LETTERS))
        ]
        return found

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

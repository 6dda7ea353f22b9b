"""Seals the audit chain and folds it into the loops that the console shows."""

import time
from collections import deque
from datetime import datetime
from typing import Any

from headrace_kit import Service
from headrace_monitor.adapters import audit, loops
from headrace_monitor.core.audit import Sealed
from headrace_monitor.core.projection import Loops
from headrace_monitor.live import Live

_SHOWN = 300
# Without a sign of a new entry: another replica may have taken one in.
_LOOK_SECONDS = 2.0


class Ledger:
    """The chain as this process has read it."""

    def __init__(self, service: Service, live: Live) -> None:
        self._service = service
        self._live = live
        self.loops = Loops()
        self.events: deque[dict[str, Any]] = deque(maxlen=_SHOWN)
        self.position = 0
        self._kept: dict[str, int] = {}
        """Position of each workload's snapshot: what came before it is in it."""
        self._changed: set[str] = set()
        self._dirty = True
        self._looked = 0.0

    def wake(self) -> None:
        """Say that an entry was appended."""
        self._dirty = True

    async def tick(self) -> None:
        """Seal, then fold in and show what is new."""
        if not self._dirty and time.monotonic() - self._looked < _LOOK_SECONDS:
            return
        self._dirty, self._looked = False, time.monotonic()
        while True:
            async with self._service.unit_of_work() as uow:
                sealed = await audit.seal(uow.session)
            async with self._service.reading() as session:
                new = await audit.after(session, self.position)
            for one in new:
                self._take(one)
                self._live.send("event", self.events[-1])
            if not sealed and not new:
                return

    async def read(self) -> None:
        """Take up the snapshots at start and fold in what came since."""
        async with self._service.reading() as session:
            self.loops.by_name, self._kept, self.position = await loops.kept(session)
            shown_last = await audit.newest(session, _SHOWN)
        self.events.extend(shown(one) for one in reversed(shown_last))
        while True:
            async with self._service.reading() as session:
                part = await audit.after(session, self.position)
            if not part:
                break
            for one in part:
                self._fold(one)
        # A long way was not gone for nothing, even if this process does not live for a minute.
        await self.keep()

    async def keep(self) -> None:
        """Write snapshots of what changed since the last ones."""
        if not self._changed:
            return
        changed, self._changed = self._changed, set()
        found = [self.loops.by_name[name] for name in changed if name in self.loops.by_name]
        try:
            async with self._service.unit_of_work() as uow:
                await loops.keep(uow.session, found, self.position)
        except BaseException:
            self._changed |= changed
            raise

    def _take(self, one: Sealed) -> None:
        self._fold(one)
        self.events.append(shown(one))

    def _fold(self, one: Sealed) -> None:
        self.position = one.position
        name = one.entry.workload
        if one.position > self._kept.get(name, 0):
            self.loops.add(one.entry)
            if name:
                self._changed.add(name)


def shown(one: Sealed) -> dict[str, Any]:
    """Return an entry as the console's list of events has it."""
    e = one.entry
    return {
        "position": one.position,
        "id": e.event_id,
        "type": e.type.rsplit(".v", 1)[0],
        "source": e.source,
        "workload": e.workload,
        "subject": e.subject,
        "time": _iso(e.time),
        "summary": e.summary,
        "causation_id": e.causation_id,
        "trace_id": e.trace_id,
    }


def _iso(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds")

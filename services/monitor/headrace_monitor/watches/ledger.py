"""Seals the audit chain and folds it into the loops that the console shows."""

import time
from collections import deque
from datetime import datetime
from typing import Any

from headrace_kit import Service
from headrace_monitor.adapters import audit
from headrace_monitor.core.audit import FIRST, Sealed, Verification, verify
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
        """Fold in the whole chain at start."""
        async with self._service.reading() as session:
            async for one in audit.chain(session):
                self._take(one)

    async def verified(self) -> Verification:
        """Check the whole chain as it is stored now."""
        checked, position = Verification(0, FIRST), -1
        while checked.intact:
            async with self._service.reading() as session:
                part = await audit.after(session, position)
            if not part:
                break
            position = part[-1].position
            checked = verify(part, checked.entries, checked.head)
        return checked

    def _take(self, one: Sealed) -> None:
        self.position = one.position
        self.loops.add(one.entry)
        self.events.append(shown(one))


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

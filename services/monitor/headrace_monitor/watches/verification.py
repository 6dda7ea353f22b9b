"""Checks the audit chain for whoever asks: one check at a time, in parts, beside the event loop."""

import asyncio
import contextlib
import time
from dataclasses import dataclass
from datetime import UTC, datetime

from headrace_kit import Service
from headrace_monitor.adapters import audit
from headrace_monitor.core.audit import FIRST, Verification, verify

# The chain is read and hashed anew at most so often that it takes this share of one core.
_SHARE = 0.05
# Who asks waits so long for a check that runs, and is told how far it is after that.
_WAIT_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Checked:
    """A check from the first entry on, begun at `begun_at`; what came since is checked too."""

    found: Verification
    begun_at: datetime


class ChainCheck:
    """The chain's newest verification; shared by all who ask, as a million entries take seconds."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._checked: Checked | None = None
        self._running: asyncio.Task[None] | None = None
        self._progress = Verification(0, FIRST)
        self._due = 0.0

    @property
    def progress(self) -> int:
        """How many entries the check that runs now has behind it."""
        return self._progress.entries

    async def result(self) -> Checked | None:
        """Return the newest check of the whole chain; None while the first one still runs.

        Raises what the check raised (the database is away).
        """
        if self._running is None:
            self._running = asyncio.create_task(self._check(), name="audit check")
            self._running.add_done_callback(self._ended)
        running = self._running
        await asyncio.wait({running}, timeout=_WAIT_SECONDS)
        if running.done():
            running.result()
        return self._checked

    async def close(self) -> None:
        """End a check that runs."""
        if self._running:
            self._running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._running

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running = None
        if not task.cancelled():
            task.exception()  # who waited has it; nobody else is to be told that it was not asked

    async def _check(self) -> None:
        last = self._checked
        if last is None or time.monotonic() >= self._due:
            begun, begun_at = time.monotonic(), datetime.now(UTC)
            self._checked = Checked(await self._go_on(Verification(0, FIRST)), begun_at)
            now = time.monotonic()
            self._due = now + (now - begun) / _SHARE
        elif last.found.intact:
            self._checked = Checked(await self._go_on(last.found), last.begun_at)

    async def _go_on(self, checked: Verification) -> Verification:
        """Verify what lies behind an intact part of the chain."""
        # Before the first entry: one that was put at a position below 1 is found too.
        position = checked.entries or -1
        while checked.intact:
            self._progress = checked
            async with self._service.reading() as session:
                part = await audit.after(session, position)
            if not part:
                break
            position = part[-1].position
            checked = await asyncio.to_thread(verify, part, checked.entries, checked.head)
        return checked

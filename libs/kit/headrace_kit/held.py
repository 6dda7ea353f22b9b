"""A record that can be neither handled nor set aside is held: its lane waits, and says so."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import structlog

from headrace_kit.dead_letters import DeadLetterLimitExceeded
from headrace_kit.metrics import LANE_HELD, RECORDS_HELD

_LOG = structlog.get_logger(__name__)
_FIRST_WAIT_SECONDS = 1.0
_LONGEST_WAIT_SECONDS = 5.0  # Kafka may be back at any moment, and somebody waits for an answer
_POLL_PATIENCE_SECONDS = 15.0  # a poll that fails is tried again, and then a new member joins
_PATIENCE_SECONDS = 3.0  # a broker that is restarted is no reason to send traffic elsewhere

_POLL = "poll"


class SomeHeld(Exception):
    """Of a batch these records are left; the others have their outcomes and need no more work."""

    def __init__(self, records: Sequence[Any], cause: Exception) -> None:
        super().__init__(type(cause).__name__)
        self.records = records
        self.cause = cause


class Lane:
    """One consumer's work on its records; `is_going` is False while any is held, or none read."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._held: dict[object, float] = {}
        """Since when, for each piece of work that is held."""
        self._ending = asyncio.Event()

    @property
    def is_going(self) -> bool:
        """False when something has been held for longer than a short outage takes."""
        oldest = min(self._held.values(), default=None)
        return oldest is None or time.monotonic() - oldest < _PATIENCE_SECONDS

    def stand(self, error: BaseException) -> None:
        """Nothing can be read, a right is missing for example; until `go`."""
        since = time.monotonic() + _POLL_PATIENCE_SECONDS - _PATIENCE_SECONDS
        self._held.setdefault(_POLL, since)
        LANE_HELD.labels(self.name).set(len(self._held))
        _LOG.warning("poll failed", lane=self.name, error=type(error).__name__)

    def go(self) -> None:
        """A poll went well."""
        if self._held.pop(_POLL, None) is not None:
            LANE_HELD.labels(self.name).set(len(self._held))

    def end(self) -> None:
        """Hold nothing any more: what fails from now on is left for the next start."""
        self._ending.set()

    async def work(self, consume: Callable[[Any], Awaitable[None]], records: Any) -> bool:
        """Call `consume` until it returns; False when halted or ended, and they are not done.

        Whatever it raises (no dead letter while Kafka is away, say) is logged, counted and tried
        again, with longer and longer waits.
        """
        wait, me = _FIRST_WAIT_SECONDS, object()
        try:
            while True:
                try:
                    await consume(records)
                    return True
                except DeadLetterLimitExceeded:
                    return False
                except asyncio.CancelledError as error:
                    # aiokafka lets the cancellation of its own tasks out; that one is not ours.
                    task = asyncio.current_task()
                    if task is None or task.cancelling():
                        raise
                    self._hold(me, error)
                except SomeHeld as error:
                    records = error.records
                    self._hold(me, error.cause)
                except Exception as error:  # noqa: BLE001 - a lane outlives whatever it meets
                    self._hold(me, error)
                if await self._ended_within(wait):
                    return False
                wait = min(2 * wait, _LONGEST_WAIT_SECONDS)
        finally:
            self._held.pop(me, None)
            LANE_HELD.labels(self.name).set(len(self._held))

    async def _ended_within(self, seconds: float) -> bool:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._ending.wait()
        return self._ending.is_set()

    def _hold(self, me: object, error: BaseException) -> None:
        self._held.setdefault(me, time.monotonic())
        LANE_HELD.labels(self.name).set(len(self._held))
        RECORDS_HELD.labels(self.name, type(error).__name__).inc()
        _LOG.warning("records held", lane=self.name, error=type(error).__name__)

"""Wait until the stack has nothing left to do."""

import asyncio
import time
from dataclasses import dataclass, field

from aiokafka.errors import KafkaError
from sqlalchemy.exc import SQLAlchemyError

from headrace_bench.faults.groups import Groups
from headrace_bench.faults.stack import FaultStack
from headrace_bench.faults.traffic import ASKED

_PAUSE_SECONDS = 1.0
_QUIET_LOOKS = 3
"""So many looks in a row must find nothing: an event may be between two topics."""


@dataclass
class Drained:
    """What was left when the wait was over, and how long it took."""

    seconds: float
    lag_seconds: float
    """Until no consumer group was behind for the first time."""
    lag: dict[str, int] = field(default_factory=dict)
    outbox: dict[str, int] = field(default_factory=dict)
    jobs: dict[str, int] = field(default_factory=dict)
    uncaptured: int = 0

    @property
    def empty(self) -> bool:
        """Whether nothing was left."""
        return not (self.lag or self.outbox or self.jobs or self.uncaptured)

    def left(self) -> str:
        """What is left, in words."""
        parts = {
            "lag": self.lag,
            "outbox": self.outbox,
            "open jobs": self.jobs,
            "requests that wait for the traffic table": self.uncaptured,
        }
        return "; ".join(f"{name} {found}" for name, found in parts.items() if found)


async def drain(stack: FaultStack, seconds: float, *, halted: tuple[str, ...] = ()) -> Drained:
    """Return when lag, outboxes and jobs are empty, or when the time is over.

    What `halted` services have before them is not waited for.
    """
    started = time.monotonic()
    lag_seconds = 0.0
    quiet = 0
    while True:
        found = await _look(stack, halted)
        took = time.monotonic() - started
        if found is not None:
            if not found.lag and not lag_seconds:
                lag_seconds = took
            quiet = quiet + 1 if found.empty else 0
        if found is not None and (quiet >= _QUIET_LOOKS or took > seconds):
            found.seconds, found.lag_seconds = took, lag_seconds or took
            return found
        if took > seconds + 60:
            raise TimeoutError("Kafka or a database did not answer for a minute")
        await asyncio.sleep(_PAUSE_SECONDS)


async def _look(stack: FaultStack, halted: tuple[str, ...]) -> Drained | None:
    try:
        async with Groups(stack.bootstrap) as groups:
            lags = await groups.by_service()
        outbox = await stack.databases.outbox_rows()
        jobs = await stack.databases.open_jobs()
        uncaptured = await stack.databases.uncaptured(ASKED)
    except (KafkaError, OSError, SQLAlchemyError):
        return None
    behind = {name: lag for name, lag in lags.items() if lag and name not in halted}
    return Drained(0.0, 0.0, behind, outbox, jobs, uncaptured)

"""Service level objectives: raised when a window misses one, resolved when it is clearly kept."""

from dataclasses import dataclass
from typing import Literal

from headrace_events.workload import Slo
from headrace_monitor.core.windows import Window

Objective = Literal["p95_ms", "error_rate"]

MIN_REQUESTS = 20
"""Fewer requests in a window say nothing about a p95 or a rate of errors."""
# A value hovering around its target would raise and resolve in turns.
_RESOLVED_BELOW = 0.9


@dataclass(frozen=True, slots=True)
class Reading:
    """One objective of one model version over one window."""

    workload: str
    version: str
    objective: Objective
    value: float
    target: float

    @property
    def alert(self) -> str:
        """The alert's stable name."""
        return f"slo/{self.objective}/{self.version}"

    @property
    def summary(self) -> str:
        """What is wrong, in words."""
        if self.objective == "p95_ms":
            return (
                f"version {self.version}: p95 latency {self.value:.0f} ms, "
                f"objective {self.target:.0f} ms"
            )
        return f"version {self.version}: {self.value:.1%} errors, objective {self.target:.1%}"


def readings(window: Window, slo: Slo) -> list[Reading]:
    """Return the objectives that this window can be held against."""
    if window.requests < MIN_REQUESTS:
        return []
    found = [_reading(window, "error_rate", window.error_rate, slo.error_rate)]
    if window.p95_ms is not None:
        found.append(_reading(window, "p95_ms", window.p95_ms, slo.p95_ms))
    return found


def _reading(window: Window, objective: Objective, value: float, target: float) -> Reading:
    return Reading(window.workload, window.version, objective, value, target)


def change(raised: bool, reading: Reading) -> Literal["breached", "kept"] | None:
    """Return what the reading changes about its alert."""
    if not raised and reading.value > reading.target:
        return "breached"
    if raised and reading.value <= _RESOLVED_BELOW * reading.target:
        return "kept"
    return None

"""Service level objectives: raised when a window misses one, resolved when it is clearly kept.

No answers at all are not health: an alert that no window speaks of any more does not end by that.
It ends when the version answers well again, be it a few requests over a longer time, or when
another version answers the workload's requests in its place.

A workload that nobody asks has no outcomes either, and neither has one whose requests are lost.
What tells them apart are the services that answer (ANSWERING): while one of them is not ready, the
alert stays as it is. Otherwise each request would leave an outcome, so there were none: after one
window (120 s unless set otherwise) the alert is a warning that says that it cannot tell, and after
QUIET_SECONDS it ends. Where nobody knows how those services are, it stays that warning.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from headrace_events.workload import Slo
from headrace_monitor.core.outcomes import UNROUTED
from headrace_monitor.core.windows import Window

Objective = Literal["p95_ms", "error_rate"]

PREFIX = "slo/"
MIN_REQUESTS = 20
"""Fewer requests in a window say nothing about a p95 or a rate of errors."""
QUIET_SECONDS = 600
"""A version without a request for so long is not asked any more."""
ANSWERING = ("guardrails", "serving")
"""While these are ready, no request ends without an outcome."""
NO_TRAFFIC = "nobody asks now, so it cannot be told whether this still holds: "
LONGEST_SECONDS = 3600
"""As far back as windows go."""
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
        return f"{PREFIX}{self.objective}/{self.version}"

    @property
    def summary(self) -> str:
        """What is wrong, in words."""
        if self.objective == "p95_ms":
            return (
                f"version {self.version}: p95 latency {self.value:.0f} ms, "
                f"objective {self.target:.0f} ms"
            )
        return f"version {self.version}: {self.value:.1%} errors, objective {self.target:.1%}"


def readings(window: Window, slo: Slo, least: int = MIN_REQUESTS) -> list[Reading]:
    """Return the objectives that this window can be held against."""
    if window.requests < least:
        return []
    found = [_reading(window, "error_rate", window.error_rate, slo.error_rate)]
    if window.p95_ms is not None:
        found.append(_reading(window, "p95_ms", window.p95_ms, slo.p95_ms))
    return found


def _reading(window: Window, objective: Objective, value: float, target: float) -> Reading:
    return Reading(window.workload, window.version, objective, value, target)


def next_step(workload: str) -> str:
    """Return what whoever looks does first."""
    return (
        "Compare the versions in the console; where one stands out, "
        f"`headrace rollback {workload}`."
    )


def change(raised: bool, reading: Reading) -> Literal["breached", "kept"] | None:
    """Return what the reading changes about its alert."""
    if not raised and reading.value > reading.target:
        return "breached"
    if raised and reading.value <= _RESOLVED_BELOW * reading.target:
        return "kept"
    return None


Standing = Literal["as it was", "cannot tell", "over"]


def unasked(
    windows: Callable[[int], Sequence[Window]],
    *,
    window_seconds: int,
    watched_seconds: float,
    answering: bool | None,
) -> Standing:
    """Say what becomes of an alert while the workload may have no requests.

    `windows` returns the workload's windows of so many seconds; `watched_seconds` is for how long
    this process has counted requests; `answering`, whether the services that answer are all ready,
    None where that is not known.
    """
    if answering is False or watched_seconds < window_seconds or _asked(windows(window_seconds)):
        return "as it was"
    quiet = watched_seconds >= QUIET_SECONDS and not _asked(windows(QUIET_SECONDS))
    return "over" if quiet and answering else "cannot tell"


def _asked(windows: Sequence[Window]) -> bool:
    return any(w.requests for w in windows)


def replaced(version: str, recent: Sequence[Window]) -> bool:
    """Say whether other versions answer a workload in a version's place.

    `recent` are the workload's windows of the last QUIET_SECONDS. Requests that fail, or that reach
    no version, are no answers.
    """
    if any(w.requests for w in recent if w.version == version):
        return False
    return any(w.requests > w.errors for w in recent if w.version not in (version, UNROUTED))


def seconds_since(raised_at: datetime, now: datetime) -> int | None:
    """Return over how many seconds few requests may end an alert; None while it is too young.

    The window begins where the alert did: good requests of before do not outweigh bad ones.
    """
    age = now - raised_at
    if age < timedelta(seconds=QUIET_SECONDS):
        return None
    return min(LONGEST_SECONDS, int(age.total_seconds()))

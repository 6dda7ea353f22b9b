"""When a service is said to be in a crash loop or down, and when that is over.

A supervisor, or Kubernetes, starts what dies again, ever more slowly: after some seconds, later
after five minutes at most.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

STARTS = 4
"""Of one replica within WITHIN: one that died three times. A deployment is one start."""
WITHIN = timedelta(minutes=10)
STEADY = timedelta(minutes=5)
"""Without another start, while it answers: the loop is over."""
GIVEN_UP = timedelta(hours=1)
"""Without another start, whether it answers or not: it is down, or gone, and in no loop."""
DOWN_AFTER = timedelta(seconds=8)
"""Longer than two probes: an alert is there within 15 s."""


def loops(starts: Sequence[datetime]) -> bool:
    """Say whether the newest starts of a replica, oldest first, are a crash loop."""
    return len(starts) >= STARTS and starts[-1] - starts[-STARTS] <= WITHIN


def steady(newest: datetime | None, now: datetime, state: str) -> bool:
    """Say whether a loop is over; `state` is what its /readyz says (`unknown`: nobody asks it)."""
    if newest is None or now - newest >= GIVEN_UP:
        return True
    return now - newest >= STEADY and state in ("up", "unknown")

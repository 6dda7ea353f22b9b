"""When the alerts of other services end: the monitor sees it, they cannot.

A consumer that halted at its dead-letter limit is started again by somebody; a training that could
not be registered is followed by another one. Each rule takes what the monitor knows and says
whether the cause is gone. What the monitor raises itself (`slo/`, `drift/`) its own watches end.
"""

from datetime import datetime, timedelta

HALTED = "dead-letter-limit/"
UNREGISTERED = "registration/"
# Clocks of two machines differ; an answer this much younger than the alert is surely after it.
_CLOCKS = timedelta(seconds=10)


def consumes_again(raised_at: datetime, state: str, asked_at: datetime | None) -> bool:
    """Say whether a service that halted is ready again: `/readyz` is red while it is halted."""
    return state == "up" and asked_at is not None and asked_at >= raised_at + _CLOCKS


def registers_again(raised_at: datetime, newest: datetime | None) -> bool:
    """Say whether a version of the workload was registered after one was refused."""
    return newest is not None and newest > raised_at

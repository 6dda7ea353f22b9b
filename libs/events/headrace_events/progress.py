"""How far a job is: the one thing that all events of progress say."""

from dataclasses import dataclass

from headrace_events.envelope import EventData
from headrace_events.training import TrainingCompleted, TrainingFailed, TrainingProgressed

_ENDS = (TrainingCompleted, TrainingFailed)


@dataclass(frozen=True, slots=True)
class Progress:
    """Done steps of a job, of so many."""

    job: str
    done: int
    of: int


def progress_of(payload: EventData) -> Progress | None:
    """Return how far the job of an event is; None where it is no event of progress."""
    if isinstance(payload, TrainingProgressed):
        return Progress(payload.job_id, payload.step, payload.steps)
    return None


def ended_job(payload: EventData) -> str | None:
    """Return the job that an event ends."""
    return payload.job_id if isinstance(payload, _ENDS) else None


def seconds_left(done: int, of: int, seconds: float) -> float | None:
    """Return how long the rest takes at the pace so far: `done` steps took `seconds`."""
    if done <= 0 or seconds <= 0:
        return None
    return round(max(of - done, 0) * seconds / done, 1)

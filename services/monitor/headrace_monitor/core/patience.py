"""When the candidate of a canary starves: nobody asks it."""

from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a candidate may be without a request before somebody is told; in seconds.

    A step that never had any is told of soon. One that had some may wait longer for the next, so
    that an alert does not come and go with each request of a quiet workload.
    """

    starving: float = 10.0
    quiet: float = 300.0

    def is_over(self, opened_at: datetime, newest: datetime | None, now: datetime) -> bool:
        """Say whether the candidate starves; `newest` is its last request of this step."""
        if newest is None:
            return now - opened_at >= timedelta(seconds=self.starving)
        return now - newest >= timedelta(seconds=self.quiet)

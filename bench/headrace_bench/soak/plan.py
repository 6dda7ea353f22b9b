"""How long a soak is, how much it carries, and when each service dies."""

import itertools
from dataclasses import dataclass

from headrace_bench.faults.stack import SERVICES


@dataclass(frozen=True)
class Plan:
    """A soak; all times in seconds."""

    seconds: float = 3600.0
    kafka_per_second: float = 10.0
    http_per_second: float = 10.0
    kills_each: int = 2
    hostile_pause: float = 2.0
    """Between two hostile records and between two hostile HTTP requests: below the dead-letter
    limit of every service, which would halt it as it should."""
    kill_window: float = 45.0
    """After a kill, a part may be down for so long, and HTTP may say so."""

    @property
    def kills_end(self) -> float:
        """After this nothing is killed any more: memory is measured in what follows."""
        return self.seconds * 0.5

    def kills(self) -> list[tuple[float, str]]:
        """When each service is killed, in turn and evenly spread."""
        victims = list(itertools.chain.from_iterable([SERVICES] * self.kills_each))
        first = min(60.0, self.seconds * 0.05)
        step = (self.kills_end - first) / max(1, len(victims))
        return [(first + step * number, name) for number, name in enumerate(victims)]


SHORT = Plan(seconds=240.0, kills_each=1, hostile_pause=0.7)

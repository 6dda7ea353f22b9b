"""The plan of a training: fixed by manifest and dataset, never by the speed of the machine."""

import math
from dataclasses import dataclass

from headrace_events.workload import Train

# Share of the steps in which the learning rate rises; a LoRA starts at zero, so it may be short.
_WARM_UP = 0.06


@dataclass(frozen=True)
class Plan:
    """How many steps of what size, and the learning rate at each."""

    steps: int
    rows: int
    batch_size: int
    learning_rate: float
    seed: int

    def learning_rate_at(self, step: int) -> float:
        """Linear warm-up, then linear decay to zero at the last step; `step` counts from 0."""
        rise = max(1, round(self.steps * _WARM_UP))
        if step < rise:
            return self.learning_rate * (step + 1) / rise
        return self.learning_rate * (self.steps - step) / max(1, self.steps - rise)


def plan_training(rows: int, train: Train) -> Plan:
    """Turn the manifest's epochs and `max_steps` into a number of steps for `rows` rows."""
    if rows < 1:
        raise ValueError("a training needs at least one row")
    steps = math.ceil(rows / train.batch_size) * train.epochs
    if train.max_steps is not None:
        steps = min(steps, train.max_steps)
    return Plan(steps, rows, train.batch_size, train.learning_rate, train.seed)

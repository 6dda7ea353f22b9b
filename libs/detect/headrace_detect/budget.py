"""How much computing one look at a text may cost.

Every engine here is linear, but a long hostile text still costs more than a service may spend on
it. C code cannot be interrupted: so the budget is asked between bounded pieces of work, and what
is past it raises. The caller decides what an unfinished look means.
"""

import math
import time


class OverBudget(Exception):
    """The look at this text was broken off; nothing is known about the rest of it."""


class Budget:
    """CPU seconds of one thread, spent inside `with budget:`, as often as that is entered.

    CPU time, not the clock on the wall: on a busy machine a harmless text must not run out of it
    because others computed meanwhile.
    """

    __slots__ = ("_left", "_until", "_wall")

    def __init__(self, seconds: float) -> None:
        self._left = seconds
        self._until = self._wall = math.inf

    def __enter__(self) -> "Budget":
        self._until = time.thread_time() + self._left
        self._wall = time.perf_counter() + self._left
        return self

    def __exit__(self, *error: object) -> None:
        self._left = self._until - time.thread_time()
        self._until = self._wall = math.inf

    def check(self) -> None:
        """Raise OverBudget when it is used up."""
        # The clock on the wall is cheap to ask, and CPU time never runs ahead of it.
        if time.perf_counter() > self._wall and time.thread_time() > self._until:
            raise OverBudget


UNLIMITED = Budget(math.inf)
"""For who reads a text that is bounded anyhow; never entered, so it never ends."""

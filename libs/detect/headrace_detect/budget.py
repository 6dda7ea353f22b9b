"""How much computing one look at a text may cost.

Every engine here is linear, but a long hostile text still costs more than a service may spend on
it. C code cannot be interrupted: so the budget is asked between bounded pieces of work, and what
is past it raises. The caller decides what an unfinished look means.
"""

import time


class OverBudget(Exception):
    """The look at this text was broken off; nothing is known about the rest of it."""


class Budget:
    """CPU seconds of the calling thread, counted from when it is made; None for no end.

    CPU time, not the clock on the wall: on a busy machine a harmless text must not run out of it
    because others computed meanwhile. A budget belongs to the thread that made it.
    """

    __slots__ = ("_until",)

    def __init__(self, seconds: float | None) -> None:
        self._until = None if seconds is None else time.thread_time() + seconds

    def check(self) -> None:
        """Raise OverBudget when it is used up."""
        if self._until is not None and time.thread_time() > self._until:
            raise OverBudget


UNLIMITED = Budget(None)

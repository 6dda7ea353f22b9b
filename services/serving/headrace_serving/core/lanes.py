"""Two queues in front of an engine: the urgent one goes first, and the other is never starved."""

from collections import deque
from typing import Generic, TypeVar

# So many urgent batches in a row, then one of the others if any wait.
URGENT_IN_A_ROW = 3

ItemT = TypeVar("ItemT")


class Lanes(Generic[ItemT]):
    """Not a sorted queue: within a lane the order is that of arrival."""

    def __init__(self) -> None:
        self.urgent: deque[ItemT] = deque()
        self.normal: deque[ItemT] = deque()
        self._in_a_row = 0

    def __bool__(self) -> bool:
        """Whether anything waits."""
        return bool(self.urgent or self.normal)

    def of(self, *, urgent: bool) -> "deque[ItemT]":
        """One of the lanes."""
        return self.urgent if urgent else self.normal

    def turn(self) -> "deque[ItemT]":
        """The lane whose turn it is; call it once for each batch."""
        if self.urgent and not (self.normal and self._in_a_row >= URGENT_IN_A_ROW):
            self._in_a_row += 1
            return self.urgent
        self._in_a_row = 0
        return self.normal

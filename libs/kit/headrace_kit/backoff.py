"""What waits for its next try: how long, and what not to look at until then."""

import time
from typing import Generic, TypeVar

_FIRST_SECONDS = 0.5
# Nobody asks any more for what was to be tried again so long ago.
_FORGOTTEN_SECONDS = 600.0

K = TypeVar("K")


class Holds(Generic[K]):
    """Names that are held back, each with an exponential back-off of its own."""

    def __init__(self, longest_seconds: float, first_seconds: float = _FIRST_SECONDS) -> None:
        self._longest = longest_seconds
        self._first = first_seconds
        self._until: dict[K, float] = {}
        self._times: dict[K, int] = {}

    def hold(self, name: K) -> float:
        """Hold a name back once more; return for how many seconds."""
        times = self._times[name] = self._times.get(name, 0) + 1
        seconds = min(self._longest, self._first * 2.0 ** min(times - 1, 16))
        self._until[name] = time.monotonic() + seconds
        return seconds

    def release(self, name: K) -> None:
        """It went well: the next failure is a first one."""
        self._until.pop(name, None)
        self._times.pop(name, None)

    def times(self, name: K) -> int:
        """Return how often in a row it was held back."""
        return self._times.get(name, 0)

    def held(self) -> set[K]:
        """Return the names whose next try is still to come."""
        now = time.monotonic()
        for name in [n for n, until in self._until.items() if until < now - _FORGOTTEN_SECONDS]:
            self.release(name)
        return {name for name, until in self._until.items() if until > now}

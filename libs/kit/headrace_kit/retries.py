"""How often, and for how long, one record is tried before it goes to the dead letters."""

import asyncio
import random
import time
from collections.abc import Sequence


class RetryPolicy:
    """Waits between attempts, with jitter, and a bound on how long a record blocks its partition.

    For control events the bound holds for waits and attempts together: an attempt that is still
    running when it is over is cancelled, as `TimeoutError`. On the hot path it holds for the waits.
    """

    def __init__(
        self, waits: Sequence[float], jitter: float = 0.2, max_blocking_seconds: float = 30.0
    ) -> None:
        self._waits = tuple(waits)
        self._jitter = jitter
        self._bound = max_blocking_seconds

    def begin(self) -> "Retries":
        """Start the clock for one record."""
        return Retries(self._waits, self._jitter, self._bound)


class Retries:
    """One record's attempts: `attempts` is how many were begun."""

    def __init__(self, waits: tuple[float, ...], jitter: float, bound: float) -> None:
        self.attempts = 0
        self._waits = waits
        self._jitter = jitter
        self._bound = bound
        self._until = time.monotonic() + bound

    def attempt(self) -> asyncio.Timeout:
        """Count an attempt and bound it: `async with retries.attempt(): ...`."""
        self.count()
        return asyncio.timeout(max(0.0, self._until - time.monotonic()))

    def count(self) -> None:
        """Count an attempt without a bound."""
        self.attempts += 1

    async def wait(self) -> bool:
        """Wait for the next attempt; False when there is none left."""
        if self.attempts > len(self._waits):
            return False
        # Jitter: many consumers that failed at one moment do not come back at one moment.
        spread = 1 + random.uniform(-self._jitter, self._jitter)  # noqa: S311 - no secret
        wait = self._waits[self.attempts - 1] * spread
        if time.monotonic() + wait >= self._until:
            return False
        await asyncio.sleep(wait)
        return True

    def grant_more_time(self) -> None:
        """Start over: what failed was not the record's fault."""
        self.attempts = 0
        self._until = time.monotonic() + self._bound

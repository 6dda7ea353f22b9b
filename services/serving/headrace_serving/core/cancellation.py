"""Requests that nobody waits for any more: each is either answered or cancelled, never both."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

# A request that is not here yet is somewhere on its way; no deadline is longer in practice.
REMEMBER_SECONDS = 900.0
_MOST_REMEMBERED = 100_000


class Cancelled(Exception):
    """The request was cancelled before its answer was there."""


class Cancellations:
    """Hears of cancellations before, while and after their requests are worked on."""

    def __init__(self) -> None:
        self._asked: OrderedDict[str, float] = OrderedDict()
        self._running: dict[str, set[asyncio.Timeout]] = {}

    def cancel(self, request_id: str) -> None:
        """Nobody waits for this request; what is under way for it ends."""
        now = time.monotonic()
        self._asked[request_id] = now
        self._asked.move_to_end(request_id)
        while len(self._asked) > _MOST_REMEMBERED or self._oldest() < now - REMEMBER_SECONDS:
            self._asked.popitem(last=False)
        for scope in self._running.get(request_id, ()):
            scope.reschedule(asyncio.get_running_loop().time())

    @asynccontextmanager
    async def scope(self, request_id: str) -> AsyncIterator[None]:
        """Make an answer inside; raise Cancelled instead if that comes before the block ends.

        The end of the block is the decision: a cancellation after it changes nothing.
        """
        if request_id in self._asked:
            raise Cancelled
        scope = asyncio.timeout(None)
        running = self._running.setdefault(request_id, set())
        running.add(scope)
        try:
            async with scope:
                yield
        except TimeoutError:
            if request_id in self._asked:
                raise Cancelled from None
            raise
        finally:
            running.discard(scope)
            if not running:
                self._running.pop(request_id, None)
        if request_id in self._asked:
            raise Cancelled

    def _oldest(self) -> float:
        return next(iter(self._asked.values()))

"""A request under way."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from headrace_client.errors import Timeout

if TYPE_CHECKING:
    from headrace_client.answer import Answer
    from headrace_client.outcomes import Outcome, Waiting


class PendingAnswer:
    """`await pending.result()` for the answer, `await pending.cancel()` when it is not wanted."""

    def __init__(
        self,
        request_id: str,
        waiting: "Waiting",
        *,
        seconds: float,
        until: float,
        finish: "Callable[[Outcome], Answer]",
        give_up: Callable[[str], None],
        cancel: Callable[[], Awaitable[None]],
        close: Callable[[], None],
    ) -> None:
        self.request_id = request_id
        self._waiting = waiting
        self._seconds = seconds
        self._until = until
        self._finish = finish
        self._give_up = give_up
        self._cancel = cancel
        self._close = close

    async def result(self) -> "Answer":
        """Wait for the outcome; raise a Rejected (Blocked, Cancelled, ...) or Timeout.

        At the time-out, or when the waiting task is cancelled, the request is cancelled too.
        """
        try:
            async with asyncio.timeout_at(self._until):
                # Shielded: a cancelled wait must not cancel the future that the reader sets.
                outcome = await asyncio.shield(self._waiting.outcome)
        except TimeoutError:
            self._give_up("timeout")
            raise Timeout(self._seconds, self.request_id) from None
        except asyncio.CancelledError:
            self._give_up("caller")
            raise
        finally:
            self._close()
        return self._finish(outcome)

    async def cancel(self) -> None:
        """Ask for no answer any more; return when the broker knows.

        `result()` then raises Cancelled, or gives the answer that was there before. Work on it
        ends: what is queued is dropped, and a generation of which nobody wants a row stops.
        """
        await self._cancel()

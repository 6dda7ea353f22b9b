"""How to be rid of a consumer that hangs, or dies, in its own stop."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

_LOG = logging.getLogger(__name__)
_STOP_SECONDS = 5.0


async def give_up(consumer: Any) -> None:
    """Stop a consumer that may hang in its own stop, so that nothing of it goes on.

    Raises nothing but the caller's own cancellation.
    """
    # Cancelled by the time-out, the stop cancels the task that it waits for.
    if await _ended(consumer.stop):
        return
    # What it did not come to. Heartbeats would go on and keep the old member alive.
    # Of a consumer without a group the coordinator has neither of these tasks.
    for name in ("_stop_heartbeat_task", "_stop_commit_offsets_refresh_task"):
        if stop := getattr(consumer._coordinator, name, None):
            await _ended(stop)
    if consumer._fetcher:
        await _ended(consumer._fetcher.close)
    await _ended(consumer._client.close)


def is_cancelled() -> bool:
    """Say whether somebody cancelled this task: aiokafka lets its own tasks' cancellations out."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def _ended(stop: Callable[[], Awaitable[Any]]) -> bool:
    try:
        async with asyncio.timeout(_STOP_SECONDS):
            await stop()
    except (Exception, asyncio.CancelledError) as error:  # whatever it dies of, a new one follows
        # aiokafka waits for tasks that it cancelled, and lets their cancellation out.
        if is_cancelled():
            raise
        _LOG.warning("a consumer did not stop: %s", type(error).__name__)
        return False
    return True

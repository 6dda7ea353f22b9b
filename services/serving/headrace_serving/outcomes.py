"""Tells everybody the one outcome of each HTTP request, whatever becomes of who asked.

A Kafka request is delivered again until its outcome is on the broker. Nobody delivers an HTTP
request again, and its caller may go away in the middle: so telling is a task of its own, which
tries again while the broker is away. A repeat is the same event, with the same id.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import structlog

from headrace_events import Event
from headrace_kit.unit_of_work import EventTooLarge
from headrace_serving.metrics import OUTCOMES_LOST

_LOG = structlog.get_logger(__name__)
_RETRY_SECONDS = 1.0
# As long as a request waits for its engine; what the broker does not take by then is given up.
_GIVEN_UP_SECONDS = 90.0
# A caller who has his answer's text waits so long for it to be recorded.
_PATIENCE_SECONDS = 10.0
_STOP_SECONDS = 5.0

Publish = Callable[..., Awaitable[None]]


class NotRecorded(Exception):
    """The broker is away: the outcome is told later, and cannot be shown now."""


class Outcomes:
    """Publishes outcomes in tasks that outlive their requests."""

    def __init__(self, publish: Publish) -> None:
        self._publish = publish
        self._telling: set[asyncio.Task[None]] = set()

    async def told(self, event: Event[Any]) -> None:
        """Return when the broker has it; raise NotRecorded, or EventTooLarge if it never can."""
        try:
            await asyncio.wait_for(asyncio.shield(self.tell(event)), _PATIENCE_SECONDS)
        except TimeoutError:
            raise NotRecorded from None

    def tell(self, event: Event[Any]) -> "asyncio.Task[None]":
        """Publish without anybody waiting for it."""
        task = asyncio.create_task(self._tell(event), name="outcome")
        self._telling.add(task)
        task.add_done_callback(self._done)
        return task

    async def stop(self) -> None:
        """Wait a moment for what is not told yet."""
        if self._telling:
            await asyncio.wait(self._telling, timeout=_STOP_SECONDS)
        for task in self._telling:
            task.cancel()

    async def _tell(self, event: Event[Any]) -> None:
        async with asyncio.timeout(_GIVEN_UP_SECONDS):
            while True:
                try:
                    await self._publish(event)
                    return
                except EventTooLarge:
                    raise
                except Exception as error:  # noqa: BLE001 - the broker may be away: try again
                    _LOG.warning("an outcome waits", error=type(error).__name__, event=event.id)
                    await asyncio.sleep(_RETRY_SECONDS)

    def _done(self, task: "asyncio.Task[None]") -> None:
        self._telling.discard(task)
        if task.cancelled() or (
            (error := task.exception()) and not isinstance(error, EventTooLarge)
        ):
            OUTCOMES_LOST.inc()
            _LOG.error("an outcome could not be told")

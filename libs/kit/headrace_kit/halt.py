"""A service halts at its dead-letter limit: it holds what it has, and tells whoever will listen."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import structlog

from headrace_events.monitoring import AlertRaised
from headrace_kit.dead_letters import DeadLetterLimitExceeded
from headrace_kit.metrics import CONSUMER_HALTED

_LOG = structlog.get_logger(__name__)
_ATTEMPT_SECONDS = 10.0
_RETRY_SECONDS = 5.0

Tell = Callable[[AlertRaised], Awaitable[None]]


class Halt:
    """Wraps consumers; the first that passes the limit halts them all until the service stops."""

    def __init__(self, service: str, stopping: asyncio.Event, *tell: Tell) -> None:
        self._service = service
        self._stopping = stopping
        self._tell = tell
        self._telling: asyncio.Task[None] | None = None
        self.halted = False

    def guard(self, consume: Callable[[Any], Awaitable[None]]) -> Callable[[Any], Awaitable[None]]:
        """Return `consume` that, once halted, holds its records until the stop and then raises."""

        async def guarded(records: Any) -> None:
            try:
                await consume(records)
            except DeadLetterLimitExceeded as error:
                self._begin(str(error))
                await self._stopping.wait()
                raise

        return guarded

    def _begin(self, reason: str) -> None:
        if self.halted:
            return
        # What needs nobody's help comes first: readiness, metric, log.
        self.halted = True
        CONSUMER_HALTED.set(1)
        _LOG.critical("consumer halted", reason=reason)
        alert = AlertRaised(
            name=f"dead-letter-limit/{self._service}",
            severity="critical",
            summary=reason,
            next_step=f"`headrace dlq list --service {self._service}` shows what they have in "
            "common; mend that, then restart the service.",
        )
        self._telling = asyncio.create_task(self._raise(alert), name="halt")

    async def _raise(self, alert: AlertRaised) -> None:
        """Raise the alert by the first way that works; a database or a broker may be away."""
        while not self._stopping.is_set():
            for tell in self._tell:
                try:
                    async with asyncio.timeout(_ATTEMPT_SECONDS):
                        return await tell(alert)
                except Exception as error:  # noqa: BLE001 - the next way, then all of them again
                    _LOG.warning("the alert was not raised", error=type(error).__name__)
            await asyncio.sleep(_RETRY_SECONDS)

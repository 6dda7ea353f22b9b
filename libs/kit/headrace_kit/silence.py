"""Kafka's silence towards a consumer.

A consumer of aiokafka can stand still without an error: a member that the broker fenced, a
background task that waits for what never comes. Nothing tells its owner, so the owner looks.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any

import structlog

from headrace_kit.metrics import REJOINS

_LOG = structlog.get_logger(__name__)
_RETRY_SECONDS = 1.0


class Silence:
    """How long Kafka has not answered a consumer that asks.

    The broker answers every fetch, also with no records, so silence is not the same as no traffic.
    """

    def __init__(self) -> None:
        self._oldest: float | None = None
        self._since = time.monotonic()

    def end(self) -> None:
        """Count from now: records came, or nobody asked."""
        self._since = time.monotonic()

    def seconds(self, consumer: Any, *, joined: bool) -> float:
        """Seconds since every partition of `consumer` has had an answer.

        Without partitions, since it waits for them; a member that is `joined` and has none, because
        the group has more members than partitions, waits for nothing.
        """
        partitions = consumer.assignment() if joined else ()
        answers = [consumer.last_poll_timestamp(partition) or 0.0 for partition in partitions]
        oldest = min(answers, default=None)
        if oldest != self._oldest or (joined and not answers):
            self._oldest = oldest
            self.end()
        return time.monotonic() - self._since


async def join_anew(group: str, attempt: Callable[[], Awaitable[None]]) -> None:
    """Call `attempt`, which gives a member up and starts a new one, until it gets through."""
    _LOG.warning("joins anew", group=group)
    REJOINS.labels(group).inc()
    while True:
        try:
            return await attempt()
        except Exception as error:  # noqa: BLE001 - there is no lane without a member
            _LOG.warning("cannot join", group=group, error=type(error).__name__)
            await asyncio.sleep(_RETRY_SECONDS)

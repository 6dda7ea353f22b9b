"""Dead letters: a record that cannot be handled goes aside, with where it came from."""

import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import structlog
from aiokafka import ConsumerRecord

from headrace_events import topics
from headrace_kit.metrics import DEAD_LETTERS

_LOG = structlog.get_logger(__name__)
_WINDOW_SECONDS = 60.0

SendRaw = Callable[
    [str, bytes | None, bytes | None, Sequence[tuple[str, bytes]]], Awaitable[object]
]


class DeadLetterLimitExceeded(RuntimeError):
    """So many records fail that the fault is not theirs; the consumer halts."""


class DeadLetters:
    """Writes a service's dead letters and halts it when they are too many."""

    def __init__(self, service: str, send: SendRaw, limit: int) -> None:
        self._service = service
        self._send = send
        self._limit = limit
        self._recent: deque[float] = deque()

    async def write(
        self, record: "ConsumerRecord[Any, Any]", error: Exception, attempts: int
    ) -> None:
        """Send the untouched record to the service's dead-letter topic; await the broker.

        Raises DeadLetterLimitExceeded, before writing, when the limit within a minute is passed.
        """
        now = time.monotonic()
        while self._recent and now - self._recent[0] > _WINDOW_SECONDS:
            self._recent.popleft()
        if len(self._recent) >= self._limit:
            raise DeadLetterLimitExceeded(
                f"{len(self._recent)} dead letters within a minute; fix the cause, then restart "
                f"{self._service}: it goes on where it stopped"
            )
        origin = {
            "headrace_dlq_topic": record.topic,
            "headrace_dlq_partition": str(record.partition),
            "headrace_dlq_offset": str(record.offset),
            "headrace_dlq_error": type(error).__name__,
            "headrace_dlq_attempts": str(attempts),
        }
        headers = [*record.headers, *((k, v.encode()) for k, v in origin.items())]
        await self._send(topics.dlq(self._service), record.key, record.value, headers)
        self._recent.append(now)
        DEAD_LETTERS.labels(record.topic, type(error).__name__).inc()
        _LOG.error(
            "dead-lettered",
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            error=type(error).__name__,
            attempts=attempts,
        )

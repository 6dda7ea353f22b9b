"""Dead letters: a record that cannot be handled goes aside, with where it came from.

Key, value and headers stay as they were; the added headers never hold a user's text.
"""

import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from typing import Any

import structlog
from aiokafka import ConsumerRecord

from headrace_events import topics
from headrace_kit.metrics import DEAD_LETTERS

_LOG = structlog.get_logger(__name__)
_WINDOW_SECONDS = 60.0
HEADER_PREFIX = "headrace_dlq_"

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
            "topic": record.topic,
            "partition": str(record.partition),
            "offset": str(record.offset),
            "error": type(error).__name__,
            "attempts": str(attempts),
            "service": self._service,
            "time": datetime.now(UTC).isoformat(),
        }
        headers = [
            # One that was replayed with its headers left on must not have two origins.
            *((k, v) for k, v in record.headers if not k.startswith(HEADER_PREFIX)),
            *((f"{HEADER_PREFIX}{k}", v.encode()) for k, v in origin.items()),
        ]
        # Counted before it is sent: others are written at the same time.
        self._recent.append(now)
        try:
            await self._send(topics.dlq(self._service), record.key, record.value, headers)
        except BaseException:
            self._recent.remove(now)
            raise
        DEAD_LETTERS.labels(record.topic, type(error).__name__).inc()
        _LOG.error(
            "dead-lettered",
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            error=type(error).__name__,
            attempts=attempts,
        )

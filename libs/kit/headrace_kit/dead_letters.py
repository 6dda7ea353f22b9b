"""Dead letters: a record that cannot be handled goes aside, with where it came from.

Key, value and headers stay as they were, where the topic takes so much (see `letters`); the added
headers never hold a user's text.
"""

import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

import structlog
from aiokafka import ConsumerRecord

from headrace_events import topics
from headrace_kafka import DEFAULT_MOST_BYTES, UnreadableRecord
from headrace_kit.letters import HEADER_PREFIX, Headers, Letter, letters_of
from headrace_kit.metrics import DEAD_LETTERS
from headrace_kit.refusals import is_too_large

__all__ = ["HEADER_PREFIX", "DeadLetterLimitExceeded", "DeadLetters", "SendRaw"]

_LOG = structlog.get_logger(__name__)
_WINDOW_SECONDS = 60.0

SendRaw = Callable[[str, bytes | None, bytes | None, Headers], Awaitable[object]]


class DeadLetterLimitExceeded(RuntimeError):
    """So many records fail that the fault is not theirs; the consumer halts."""


class DeadLetters:
    """Writes a service's dead letters and halts it when they are too many."""

    def __init__(self, service: str, send: SendRaw, limit: int) -> None:
        self._service = service
        self._send = send
        self._limit = limit
        self._recent: deque[float] = deque()
        topic = topics.BY_NAME.get(topics.dlq(service))
        # Learnt to be less where the broker refuses: the topic may be older than this release.
        self._most_bytes = (topic and topic.max_message_bytes) or DEFAULT_MOST_BYTES

    async def write(
        self, record: "ConsumerRecord[Any, Any]", error: Exception, attempts: int
    ) -> None:
        """Send the record to the service's dead-letter topic; await the broker.

        Raises DeadLetterLimitExceeded, before writing, when the limit within a minute is passed,
        and whatever keeps the broker from taking the letter: then the record is not set aside.
        """
        now = time.monotonic()
        while self._recent and now - self._recent[0] > _WINDOW_SECONDS:
            self._recent.popleft()
        if len(self._recent) >= self._limit:
            raise DeadLetterLimitExceeded(
                f"{len(self._recent)} dead letters within a minute; fix the cause, then restart "
                f"{self._service}: it goes on where it stopped"
            )
        name = record.error if isinstance(record, UnreadableRecord) else type(error).__name__
        # Counted before it is sent: others are written at the same time.
        self._recent.append(now)
        try:
            letter = await self._send_what_fits(record, name, attempts)
        except BaseException:
            self._recent.remove(now)
            raise
        DEAD_LETTERS.labels(record.topic, name).inc()
        _LOG.error(
            "dead-lettered",
            topic=record.topic,
            partition=record.partition,
            offset=record.offset,
            error=name,
            attempts=attempts,
            whole=letter.value == record.value and not isinstance(record, UnreadableRecord),
        )

    async def _send_what_fits(
        self, record: "ConsumerRecord[Any, Any]", error: str, attempts: int
    ) -> Letter:
        *longer, last = letters_of(record, error, attempts, self._service)
        topic = topics.dlq(self._service)
        for letter in longer:
            if letter.size > self._most_bytes:
                continue
            try:
                await self._send(topic, letter.key, letter.value, letter.headers)
            except Exception as refused:
                if not is_too_large(refused):
                    raise
                self._most_bytes = letter.size - 1
            else:
                return letter
        await self._send(topic, last.key, last.value, last.headers)
        return last

"""Dead letters: a record that cannot be handled goes aside, with where it came from.

Key, value and headers stay as they were, where the topic takes so much (see `letters`); the added
headers never hold a user's text.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

import structlog
from aiokafka import ConsumerRecord

from headrace_events import topics
from headrace_events.monitoring import DeadLetterWritten
from headrace_kafka import DEFAULT_MOST_BYTES, UnreadableRecord
from headrace_kit.letters import HEADER_PREFIX, Headers, Letter, letters_of
from headrace_kit.metrics import DEAD_LETTERS
from headrace_kit.refusals import is_too_large

__all__ = ["HEADER_PREFIX", "DeadLetterLimitExceeded", "DeadLetters", "SendRaw"]

_LOG = structlog.get_logger(__name__)
_WINDOW_SECONDS = 60.0
_TELL_SECONDS = 5.0

SendRaw = Callable[[str, bytes | None, bytes | None, Headers], Awaitable[object]]
Tell = Callable[[DeadLetterWritten], Awaitable[None]]


class DeadLetterLimitExceeded(RuntimeError):
    """So many records fail that the fault is not theirs; the consumer halts."""


class DeadLetters:
    """Writes a service's dead letters and halts it when they are too many."""

    def __init__(self, service: str, send: SendRaw, limit: int, tell: Tell | None = None) -> None:
        self._service = service
        self._send = send
        self._tell = tell
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
            letter, lies = await self._send_what_fits(record, name, attempts)
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
        await self._tell_of(record, lies, name)

    async def _tell_of(self, record: "ConsumerRecord[Any, Any]", lies: object, error: str) -> None:
        """Say where the letter lies, so that somebody looks. The letter is safe already."""
        # Telling of one that tells of a letter would never end.
        telling = (b"ce_type", DeadLetterWritten.TYPE.encode())
        if self._tell is None or any((k.encode(), v) == telling for k, v in record.headers or ()):
            return
        fact = DeadLetterWritten(
            service=self._service,
            partition=getattr(lies, "partition", 0),
            offset=getattr(lies, "offset", -1),
            topic=record.topic,
            error=error,
        )
        try:
            async with asyncio.timeout(_TELL_SECONDS):
                await self._tell(fact)
        except Exception as failed:  # noqa: BLE001 - whatever it was, the record is dealt with
            _LOG.warning("a dead letter was not told of", error=type(failed).__name__)

    async def _send_what_fits(
        self, record: "ConsumerRecord[Any, Any]", error: str, attempts: int
    ) -> tuple[Letter, object]:
        """Return the letter that was sent, and where the broker put it."""
        *longer, last = letters_of(record, error, attempts, self._service)
        topic = topics.dlq(self._service)
        for letter in longer:
            if letter.size > self._most_bytes:
                continue
            try:
                lies = await self._send(topic, letter.key, letter.value, letter.headers)
            except Exception as refused:
                if not is_too_large(refused):
                    raise
                self._most_bytes = letter.size - 1
            else:
                return letter, lies
        return last, await self._send(topic, last.key, last.value, last.headers)
